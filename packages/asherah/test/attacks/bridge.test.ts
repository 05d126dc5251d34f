import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { SessionFactory } from '../../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-bridge-attacks-'))
after(() => rmSync(folder, { recursive: true }))

const identity = {
  serviceName: 'api',
  productId: 'catalog',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
} as const

test('an error with a text longer than the answer is still the typed error', () => {
  const file = join(folder, 'long.mjs')
  writeFileSync(
    file,
    `const fail = async () => { throw new Error('x€'.repeat(100_000)) }
     export const metastore = { load: fail, loadLatest: fail, store: fail }`,
  )
  using factory = new SessionFactory({ ...identity, metastore: pathToFileURL(file).href })
  assert.throws(
    () => factory.getSession('p').encryptString('x'),
    (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_METASTORE', String(error).slice(0, 200))
      assert.match((error.cause as Error).message, /^x€x€/)
      return true
    },
  )
})

test('a synchronous loop leaves nothing behind to be loaded a second time', async () => {
  const file = join(folder, 'counted.mjs')
  writeFileSync(
    file,
    `import { isMainThread } from 'node:worker_threads'
     const rows = new Map()
     const count = () => { if (isMainThread) globalThis.mainThreadLoads = (globalThis.mainThreadLoads ?? 0) + 1 }
     export const metastore = {
       load: async (id, created) => { count(); const row = rows.get(id); return row?.created === created ? row : undefined },
       loadLatest: async (id) => { count(); return rows.get(id) },
       store: async (id, created, row) => { if (rows.has(id)) return false; rows.set(id, row); return true },
     }`,
  )
  using factory = new SessionFactory({ ...identity, metastore: pathToFileURL(file).href })
  for (let index = 0; index < 200; index++) factory.getSession(`p${index}`).encryptString('x')
  await sleep(100)
  const loads = (globalThis as { mainThreadLoads?: number }).mainThreadLoads ?? 0
  assert.ok(loads <= 4, `${loads} loads in the asker's own thread`)
})

test("a bundle without the thread's program is told so at once", () => {
  const copy = join(folder, 'copy')
  const library = fileURLToPath(new URL('../../', import.meta.url))
  cpSync(join(library, 'src'), join(copy, 'src'), { recursive: true })
  cpSync(join(library, 'package.json'), join(copy, 'package.json'))
  symlinkSync(join(library, 'native'), join(copy, 'native'))
  rmSync(join(copy, 'src/engine/bridge-worker.ts'))
  const store = join(folder, 'empty.mjs')
  writeFileSync(
    store,
    'export const metastore = { load: async () => {}, loadLatest: async () => {}, store: async () => true }',
  )
  const program = join(folder, 'bundle.mts')
  writeFileSync(
    program,
    `import { SessionFactory } from ${JSON.stringify(pathToFileURL(join(copy, 'src/index.ts')).href)}
     const factory = new SessionFactory(${JSON.stringify({ ...identity, metastore: pathToFileURL(store).href })})
     try { factory.getSession('p').encryptString('x') } catch (error) { process.stdout.write(error.code) }
     process.exit()`,
  )
  const child = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 15_000 })
  assert.equal(child.stdout, 'ERR_BRIDGE', child.stderr)
})

test('a background check that is never answered does not keep the process alive', () => {
  const program = join(folder, 'exit.mts')
  const source = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href)
  writeFileSync(
    program,
    `import { SessionFactory } from ${source('../../src/index.ts')}
     import { World } from ${source('../support/world.ts')}
     const world = new World()
     const { metastore } = world
     let hangs = false
     const never = new Promise(() => undefined)
     const factory = world.factory({
       metastore: { ...metastore, loadLatest: (id) => (hangs ? never : metastore.loadLatest(id)) },
     })
     const session = factory.getSession('p')
     session.encryptString('x')
     world.advance(1.5 * 3_600_000)
     hangs = true
     session.encryptString('x')
     await new Promise((resolve) => setTimeout(resolve, 20))
     process.stdout.write('done')`,
  )
  const child = spawnSync(process.execPath, [program], { encoding: 'utf8', timeout: 15_000 })
  assert.deepEqual([child.status, child.stdout], [0, 'done'], child.stderr)
})
