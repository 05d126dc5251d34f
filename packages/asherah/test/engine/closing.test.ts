import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readlinkSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { SessionFactory } from '../../src/index.ts'
import { codeOf } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-closing-'))
after(() => rmSync(folder, { recursive: true }))

function support(program: string): URL {
  return new URL(`../support/${program}`, import.meta.url)
}

/** Files below the folder that this process has open (proc(5)). */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      const target = readlinkSync(join('/proc/self/fd', descriptor))
      return target.startsWith(`${folder}/`) ? [target] : []
    } catch (error) {
      // The descriptor that the folder was read by.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  })
}

const identity = { serviceName: 'api', productId: 'catalog' } as const

test('closeAsync leaves no SQLite file open, here or on the bridge, so that it can be moved', async () => {
  const path = join(folder, 'keys.db')
  const config = {
    ...identity,
    metastore: 'sqlite',
    connectionString: path,
    kms: support('slow-kms.ts').href,
  } as const
  const factory = new SessionFactory(config)
  const record = factory.getSession('p').encryptString('hello')
  // Once in line, once on the bridge.
  assert.equal(openFiles().filter((file) => file === path).length, 2)
  await factory.closeAsync()
  assert.deepEqual(openFiles(), [])

  const moved = join(folder, 'moved.db')
  renameSync(path, moved)
  await using reader = new SessionFactory({ ...config, connectionString: moved })
  assert.equal(reader.getSession('p').decryptString(record), 'hello')
})

test('closeAsync tells when what the bridge opened cannot be closed in time, and when closing it fails', async () => {
  const store = support('stubborn-store.ts')
  for (const [end, code] of [
    ['hang', 'ERR_TIMEOUT'],
    ['throw', 'ERR_BRIDGE'],
  ]) {
    store.searchParams.set('end', end ?? '')
    const factory = new SessionFactory({
      ...identity,
      metastore: store.href,
      kms: 'static',
      staticMasterKeyHex: '5c'.repeat(32),
      callTimeout: 500,
    })
    factory.getSession('p').encryptString('x')
    assert.equal(await codeOf(() => factory.closeAsync()), code)
  }
})
