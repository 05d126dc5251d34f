import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials } from '@grpc/grpc-js'
import { type Certificates, createCertificates } from '../../../tests/support/servers/certificates.ts'
import { SessionClient } from './support/session-client.ts'
import { memoryFlags, startSidecar, temporaryFolder } from './support/sidecar.ts'
import { SidecarProcess } from './support/sidecar-process.ts'

const data = Buffer.from('of the row')
const limitMs = 20_000

/** A folder that certificates are mounted in as Kubernetes does it: a link that changes to another folder at once. */
class MountedCertificates {
  readonly flags: Readonly<Record<string, string>>
  readonly #folder: string
  #count = 0

  constructor(folder: string, first: Certificates) {
    this.#folder = folder
    const live = join(folder, 'live')
    this.flags = {
      tlsCert: join(live, 'tls.crt'),
      tlsKey: join(live, 'tls.key'),
      tlsClientCa: join(live, 'ca.crt'),
    }
    this.mount(first)
  }

  /** `change` may spoil what is in the folder before the link leads there. */
  mount({ server, authority }: Certificates, change: (folder: string) => void = () => undefined): void {
    this.#count += 1
    const next = join(this.#folder, `version-${this.#count}`)
    mkdirSync(next)
    cpSync(server.certificate, join(next, 'tls.crt'))
    cpSync(server.key, join(next, 'tls.key'))
    cpSync(authority, join(next, 'ca.crt'))
    change(next)
    symlinkSync(next, join(this.#folder, 'next'))
    renameSync(join(this.#folder, 'next'), join(this.#folder, 'live'))
  }
}

function clientOf({ authority, client }: Certificates, port: string): SessionClient {
  const [ca, key, certificate] = [authority, client.key, client.certificate].map((path) => readFileSync(path))
  return new SessionClient(
    `localhost:${port}`,
    credentials.createSsl(ca ?? null, key ?? null, certificate ?? null),
  )
}

async function encrypts(certificates: Certificates, port: string): Promise<void> {
  using client = clientOf(certificates, port)
  assert.ok(await (await client.session('p')).encrypt(data))
}

async function isRefused(certificates: Certificates, port: string): Promise<void> {
  using client = clientOf(certificates, port)
  const { code } = await client.open({ deadline: Date.now() + 3000 }).status
  assert.ok(code === 14 || code === 4, `${code}`)
}

/** Waits until the log has as many lines like this. */
async function logged(sidecar: SidecarProcess, line: RegExp, count: number): Promise<void> {
  const end = performance.now() + limitMs
  const all = new RegExp(line.source, 'g')
  while ((sidecar.log.match(all) ?? []).length < count) {
    assert.ok(performance.now() < end, `not ${count} times ${line} in ${sidecar.log}`)
    await sleep(50)
  }
}

/** What cannot be used, each for another reason. */
function spoilt(other: Certificates): Readonly<Record<string, (folder: string) => void>> {
  return {
    'is not the key of': (folder) => cpSync(other.server.key, join(folder, 'tls.key')),
    'holds no certificate': (folder) => writeFileSync(join(folder, 'ca.crt'), ''),
    'cannot be used': (folder) => {
      const text = readFileSync(join(folder, 'tls.crt'), 'utf8')
      writeFileSync(join(folder, 'tls.crt'), text.slice(0, text.length / 2))
    },
    'cannot be read \\(ENOENT\\)': (folder) => rmSync(join(folder, 'ca.crt')),
  }
}

// Most of the time is waiting for the next look at the files.
describe('certificates', { timeout: 120_000, concurrency: true }, () => {
  for (const workers of [1, 2]) {
    test(`are renewed while ${workers} serve; bad ones are told, and not used`, async (context) => {
      const folder = temporaryFolder(context)
      const [first, second] = await Promise.all(
        ['first', 'second'].map((name) => createCertificates(join(folder, name))),
      )
      assert.ok(first !== undefined && second !== undefined)
      const mounted = new MountedCertificates(folder, first)
      const sidecar = await SidecarProcess.start(context, {
        ...memoryFlags,
        // Workers share no memory.
        ...(workers > 1 && { metastore: 'sqlite', conn: join(folder, 'keys.db'), kms: 'test-debug-static' }),
        socketFile: join(folder, 's'),
        tcpAddress: '127.0.0.1:0',
        workers: String(workers),
        ...mounted.flags,
      })
      const [, port = ''] = /127\.0\.0\.1:(\d+)/.exec(sidecar.log) ?? []
      using early = clientOf(first, port)
      const stream = await early.session('p')
      const record = await stream.encrypt(data)
      await isRefused(second, port)

      mounted.mount(second)
      await logged(sidecar, /certificates were read again: .*tls\.crt is valid until/, workers)
      await encrypts(second, port)
      await isRefused(first, port)
      assert.deepEqual(await stream.decrypt(record), data, 'a connection of before goes on')

      for (const [why, spoil] of Object.entries(spoilt(first))) {
        mounted.mount(second, spoil)
        await logged(sidecar, new RegExp(`those before go on: .*${why}`), workers)
        await encrypts(second, port)
      }
      mounted.mount(first)
      await logged(sidecar, /certificates were read again/, 2 * workers)
      await encrypts(first, port)
      await isRefused(second, port)
      assert.deepEqual(await stream.decrypt(record), data)
      assert.doesNotMatch(sidecar.log, /PRIVATE KEY|BEGIN/)
      assert.equal((sidecar.log.match(/those before go on/g) ?? []).length, 4 * workers, 'each is told once')
    })
  }

  test('that cannot be used are refused at the start', async (context) => {
    const folder = temporaryFolder(context)
    const certificates = await createCertificates(join(folder, 'first'))
    const other = await createCertificates(join(folder, 'other'))
    for (const [why, spoil] of Object.entries(spoilt(other))) {
      const mounted = new MountedCertificates(temporaryFolder(context), certificates)
      mounted.mount(certificates, spoil)
      await assert.rejects(startSidecar(context, { tcpAddress: '127.0.0.1:0', ...mounted.flags }), {
        code: 'ERR_LISTEN',
        message: new RegExp(`${why}.*--tls-cert`),
      })
    }
  })
})
