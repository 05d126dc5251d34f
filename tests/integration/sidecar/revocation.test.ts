import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import {
  SessionClient,
  type SessionStream,
  type WireRecord,
} from '../../../packages/server/test/support/session-client.ts'
import { CommandFolder } from '../command/command-process.ts'
import { postgresStore } from '../command/stores.ts'

/** What a sidecar that runs sees of what an operator does to the keys in another process, and by when. */

const checkIntervalSeconds = 1
/** Twice the interval, and room for a slow machine to make the loads in. */
const boundMs = 2 * checkIntervalSeconds * 1000 + 3_000

function createdOf({ key }: WireRecord): number {
  return Number(key?.parent_key_meta?.created)
}

/** Encrypts until it is under a newer key than `old`; fails when it is not within the bound. */
async function newer(stream: SessionStream, old: WireRecord): Promise<WireRecord> {
  const end = performance.now() + boundMs
  for (;;) {
    const record = await stream.encrypt(Buffer.from('text'))
    if (createdOf(record) > createdOf(old)) return record
    assert.ok(performance.now() < end, `still the old key after ${boundMs} ms`)
    await pause(50)
  }
}

describe('a running sidecar', { timeout: 120_000 }, () => {
  for (const workers of [1, 2]) {
    test(`of ${workers} adopts rotated keys and leaves revoked ones within the bound`, async (context) => {
      const store = await postgresStore()
      const folder = new CommandFolder()
      folder.write('asherah.json', {
        serviceName: 'api',
        productId: 'catalog',
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
        checkInterval: checkIntervalSeconds,
        callTimeout: 5_000,
        ...store.config,
      })
      const socket = join(folder.path, 's')
      const flags = ['--config', 'asherah.json', '--socket-file', socket, '--workers', String(workers)]
      const sidecar = folder.start('serve', ...flags)
      const ended = once(sidecar, 'exit') as Promise<[number | null]>
      context.after(async () => {
        sidecar.kill('SIGKILL')
        await ended
        folder.remove()
        await store.drop()
      })
      assert.ok(sidecar.stderr !== null)
      for (let log = ''; !log.includes('serving on'); ) log += String(await once(sidecar.stderr, 'data'))
      // A connection of each worker, and streams that stay open throughout.
      const clients = Array.from({ length: workers }, () => new SessionClient(`unix:${socket}`))
      context.after(() => {
        for (const client of clients) client.close()
      })
      const streams = await Promise.all(clients.map((client) => client.session('alice')))
      const all = <T>(act: (stream: SessionStream, index: number) => Promise<T>): Promise<T[]> =>
        Promise.all(streams.map(act))
      const keys = async (action: string): Promise<void> => {
        const { code, stderr } = await folder.run('keys', action, '--partition', 'alice', '--yes')
        assert.equal(code, 0, stderr)
      }

      const first = await all((stream) => stream.encrypt(Buffer.from('text')))
      await keys('rotate')
      const rotated = await all((stream, index) => newer(stream, first[index] as WireRecord))
      await keys('revoke')
      const third = await all((stream, index) => newer(stream, rotated[index] as WireRecord))
      for (const record of [...first, ...rotated, ...third]) {
        await all(async (stream) => assert.equal(String(await stream.decrypt(record)), 'text'))
      }
      sidecar.kill('SIGTERM')
      assert.deepEqual((await ended)[0], 0)
    })
  }
})
