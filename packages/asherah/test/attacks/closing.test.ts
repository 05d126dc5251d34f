import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { type Metastore, SessionFactory } from '../../src/index.ts'
import { codeOf, World } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-closing-'))
after(() => rmSync(folder, { recursive: true }))

const state = globalThis as { slowOpenings?: string[] }

/** A module whose metastore takes 100 ms to open and tells when it was opened and closed. */
function slowModule(name: string): string {
  const file = join(folder, `${name}.mjs`)
  writeFileSync(
    file,
    `export async function createMetastore() {
       await new Promise((resolve) => setTimeout(resolve, 100))
       globalThis.slowOpenings?.push('opened')
       return {
         load: async () => undefined, loadLatest: async () => undefined, store: async () => true,
         close: async () => { globalThis.slowOpenings?.push('closed') },
       }
     }`,
  )
  return pathToFileURL(file).href
}

const identity = {
  serviceName: 'api',
  productId: 'catalog',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
} as const

test('a backend that is still opening when the factory closes is closed too, and closeAsync waits for it', async () => {
  state.slowOpenings = []
  const factory = new SessionFactory({ ...identity, metastore: slowModule('opening') })
  const opening = factory.opened()
  opening.catch(() => undefined)
  await sleep(20)
  await factory.closeAsync()
  await opening.catch(() => undefined)
  assert.deepEqual(state.slowOpenings, ['opened', 'closed'])
})

test('a closed factory opens nothing any more', async () => {
  state.slowOpenings = []
  const factory = new SessionFactory({ ...identity, metastore: slowModule('closed') })
  factory.close()
  assert.equal(await codeOf(() => factory.opened()), 'ERR_CLOSED')
  await sleep(150)
  assert.deepEqual(state.slowOpenings, [])
})

test('a metastore whose close fails does not keep the KMS from being closed', async () => {
  const world = new World()
  const ended: string[] = []
  for (const fails of [
    () => {
      throw new Error('at once')
    },
    async () => Promise.reject(new Error('later')),
  ]) {
    const metastore: Metastore = { ...world.metastore, close: fails }
    const factory = world.factory({ metastore, kms: { ...world.kms, close: () => void ended.push('kms') } })
    await assert.rejects(factory.closeAsync(), /at once|later/)
  }
  assert.deepEqual(ended, ['kms', 'kms'])
})
