import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { openMetastoreAdmin, resolveConfig } from '../../../packages/asherah/src/admin/index.ts'
import type { KeyRow } from '../../../packages/asherah/src/admin/key-row.ts'
import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'
import { createKmsKeys } from '../../support/servers/moto.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { VaultServer } from '../../support/servers/vault.ts'
import { CommandFolder, jsonLines } from './command-process.ts'
import { type OperatorStore, operatorStores } from './stores.ts'

/** System keys re-wrapped from a static key to AWS KMS and on to a second region, by processes that are killed. */

const west = 'us-west-2'
const east = 'us-east-1'
const generations = 9
const partitions = ['alice', 'bob']
const day = 86_400
/** Runs that are killed before one is let to its end. */
const kills = 3

const ambient = { AWS_ENDPOINT_URL: '', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }
const kept = new Map<string, string | undefined>()

before(() => {
  for (const [name, value] of Object.entries({ ...ambient, AWS_ENDPOINT_URL: testServers().moto.endpoint })) {
    kept.set(name, process.env[name])
    process.env[name] = value
  }
})

after(() => {
  for (const [name, value] of kept) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
})

interface Sealed {
  readonly partition: string
  readonly text: string
  readonly record: string
}

/** Years of rotations: each generation's records are sealed at its own time. */
async function seed(config: AsherahConfig): Promise<readonly Sealed[]> {
  const sealed: Sealed[] = []
  for (let generation = 0; generation < generations; generation++) {
    const now = Date.now() - (generations - generation) * 100 * day * 1000
    const factory = new SessionFactory({
      ...config,
      clock: { now: () => now, monotonic: () => performance.now() },
    })
    for (const partition of partitions) {
      const text = `${partition} ${generation}`
      sealed.push({ partition, text, record: await factory.getSession(partition).encryptStringAsync(text) })
    }
    await factory.closeAsync()
  }
  return sealed
}

async function readAll(config: AsherahConfig, sealed: readonly Sealed[]): Promise<void> {
  const factory = new SessionFactory(config)
  for (const { partition, text, record } of sealed) {
    assert.equal(await factory.getSession(partition).decryptStringAsync(record), text)
  }
  await factory.closeAsync()
}

async function rowsOf(config: AsherahConfig, prefix: string): Promise<readonly KeyRow[]> {
  const admin = await openMetastoreAdmin(resolveConfig(config, {}))
  const rows: KeyRow[] = []
  for await (const row of admin.rows({ prefix })) rows.push(row)
  await admin.close()
  return rows.toSorted((one, other) => one.created - other.created || one.keyId.localeCompare(other.keyId))
}

/**
 * Runs it, and kills it some milliseconds after its first or second row; false when it came to its end before, as it may when
 * earlier runs have left it little.
 */
async function runAndKill(folder: CommandFolder, args: readonly string[]): Promise<boolean> {
  const child = folder.start(...args)
  let printed = ''
  let dying = false
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text
    const rows = printed.split('\n').length - 1
    if (dying || rows < 1 + Math.floor(Math.random() * 2)) return
    dying = true
    setTimeout(() => child.kill('SIGKILL'), Math.random() * 10)
  })
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  if (signal === null) assert.equal(code, 0, printed)
  return signal === 'SIGKILL'
}

type KmsConfig = Pick<AsherahConfig, 'kms'> & Partial<AsherahConfig>

/** The KMS of each step, the first of which sealed everything; each is rewrapped to the next. */
interface Route {
  readonly steps: readonly KmsConfig[]
  /** What opens everything in the end as well. */
  readonly besides: readonly KmsConfig[]
  end(): Promise<void>
}

const staticKms: KmsConfig = { kms: 'static', staticMasterKeyHex: '5c'.repeat(32) }

async function awsKms(): Promise<(...regions: readonly string[]) => KmsConfig> {
  const arns = await createKmsKeys(testServers().moto.endpoint, [west, east])
  return (...regions) => ({
    kms: 'aws',
    regionMap: Object.fromEntries(regions.map((region) => [region, arns[region] ?? ''])),
    preferredRegion: regions[0] ?? '',
  })
}

interface Case {
  readonly stores: Readonly<Record<string, () => Promise<OperatorStore>>>
  open(): Promise<Route>
}

const routes: Readonly<Record<string, Case>> = {
  'static to AWS KMS to a second region': {
    stores: operatorStores,
    open: async () => {
      const aws = await awsKms()
      return {
        steps: [staticKms, aws(west), aws(west, east)],
        besides: [aws(east)],
        end: async () => {},
      }
    },
  },
  'static to Vault to AWS KMS to another key of Vault': {
    stores: { PostgreSQL: operatorStores.PostgreSQL },
    open: async () => {
      const [server, aws] = [await VaultServer.start(), await awsKms()]
      const vault = (vaultTransitKey: string): KmsConfig => {
        server.transit().create(vaultTransitKey)
        const vaultToken = server.issueToken({
          paths: ['auth/token/', `transit/encrypt/${vaultTransitKey}`, `transit/decrypt/${vaultTransitKey}`],
        })
        return { kms: 'vault', vaultAddr: server.address, vaultTransitKey, vaultToken }
      }
      return {
        steps: [staticKms, vault('one'), aws(east), vault('two')],
        besides: [],
        end: () => server.close(),
      }
    },
  },
}

const everyCase = Object.entries(routes).flatMap(([route, { stores, open }]) =>
  Object.entries(stores).map(([store, openStore]) => ({ route, store, open, openStore })),
)

describe('keys rewrap', { timeout: 280_000 }, () => {
  for (const { route: name, store: storeName, open, openStore } of everyCase) {
    test(`${name}, over ${storeName}`, async (context) => {
      const store = await openStore()
      const route = await open()
      const folder = new CommandFolder()
      context.after(async () => {
        folder.remove()
        await store.drop()
        await route.end()
      })
      const whole = (kms: KmsConfig): AsherahConfig => ({
        serviceName: 'api',
        productId: 'catalog',
        ...store.config,
        ...kms,
      })
      const steps = route.steps.map(whole)
      const staticConfig = whole(staticKms)
      for (const [index, config] of steps.entries()) folder.write(`${index}.json`, config)
      const sealed = await seed(staticConfig)
      const systemKeys = await rowsOf(staticConfig, '_SK_')
      const intermediateKeys = await rowsOf(staticConfig, '_IK_')
      assert.equal(systemKeys.length, generations)

      for (let step = 1; step < steps.length; step++) {
        const [from, to] = [`${step - 1}.json`, `${step}.json`]
        const backup = `backup-${step}.jsonl`
        const args = ['keys', 'rewrap', '--config', from, '--to-config', to, '--yes', '--backup', backup]
        let killed = 0
        while (killed < kills && (await runAndKill(folder, args))) killed += 1
        assert.ok(killed > 0, 'the first run came to its end before it was killed')
        const last = await folder.run(...args, '--json')
        assert.equal(last.code, 0, last.stderr)
        const told = jsonLines(last.stdout).at(-1)
        assert.equal(told?.['systemKeys'], generations)
        assert.equal(told?.['intermediateKeys'], generations * partitions.length)
        assert.ok(Number(told?.['done']) >= killed, 'what the killed runs had done stayed done')
        assert.equal(Number(told?.['rewrapped']) + Number(told?.['done']), generations)
        await readAll(steps[step] ?? staticConfig, sealed)

        // Each row was put aside as it was, before it was changed, and what was done is written down.
        const saved = jsonLines(readFileSync(join(folder.path, backup), 'utf8'))
        assert.deepEqual(
          new Set(saved.map(({ created }) => created)),
          new Set(systemKeys.map(({ created }) => created)),
        )
        if (step === 1) {
          for (const { created, record } of systemKeys) {
            const entry = saved.find((one) => one['created'] === created) as { record: { Key: string } }
            assert.equal(entry.record.Key, Buffer.from(record.encryptedKey).toString('base64'))
          }
        }
        const again = await folder.json(...args)
        assert.deepEqual([again.at(-1)?.['rewrapped'], again.at(-1)?.['done']], [0, generations])
      }

      for (const config of route.besides) await readAll(whole(config), sealed)
      assert.equal((await rowsOf(staticConfig, '_SK_')).length, generations)
      const now = await rowsOf(staticConfig, '_IK_')
      assert.deepEqual(
        now.map(({ keyId, created, record }) => ({ keyId, created, record })),
        intermediateKeys.map(({ keyId, created, record }) => ({ keyId, created, record })),
        'no intermediate key was touched',
      )
      const did = folder.log().filter(({ event }) => event === 'did').length
      const most = (steps.length - 1) * generations
      assert.ok(did >= most - (steps.length - 1) * kills && did <= most, `${did} lines of what was done`)
    })
  }

  test('a region that cannot seal stops it before anything is changed', async (context) => {
    const store = await operatorStores.PostgreSQL()
    const folder = new CommandFolder()
    context.after(async () => {
      folder.remove()
      await store.drop()
    })
    const arns = await createKmsKeys(testServers().moto.endpoint, [west, east])
    const common = { serviceName: 'api', productId: 'catalog', ...store.config }
    const staticConfig: AsherahConfig = { ...common, kms: 'static', staticMasterKeyHex: '5c'.repeat(32) }
    const from = folder.write('from.json', staticConfig)
    const regionMap = { ...arns, [east]: `${arns[east]}0` }
    const to = folder.write('to.json', { ...common, kms: 'aws', regionMap, preferredRegion: west })
    const factory = new SessionFactory(staticConfig)
    const record = await factory.getSession('alice').encryptStringAsync('text')
    await factory.closeAsync()
    const { code, stderr } = await folder.run('keys', 'rewrap', '--config', from, '--to-config', to, '--yes')
    assert.equal(code, 4, stderr)
    assert.match(stderr, /is sealed in us-west-2, and the configured regions are us-east-1, us-west-2/)
    await readAll(staticConfig, [{ partition: 'alice', text: 'text', record }])
  })
})
