// What wiping.test.ts looks into: one step for each line on standard input.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { marker } from './marker.ts'
import { bytes, fault, native, partition, recordsWith, text } from './partition.ts'

const collectGarbage = globalThis.gc
if (collectGarbage === undefined) throw new Error('start this with --expose-gc')

const { session } = partition()
const records = recordsWith()
const guarded = recordsWith({ canaries: true })
const filler = text(records.encrypt(session, Buffer.alloc(8192), 0))
let kept: Buffer | undefined

/** Seals `before` zero bytes and the marker. */
function sealed(before = 0): string {
  const mark = marker()
  const data = Buffer.allocUnsafeSlow(before + mark.length).fill(0)
  mark.copy(data, before)
  mark.fill(0)
  const record = text(records.encrypt(session, data, 0))
  data.fill(0)
  return record
}

/** Uses up the slab, so that the pool itself keeps it no more. */
function moveOn(): void {
  for (let index = 0; index < 16; index++) records.decrypt(session, filler, 0)
}

async function turns(): Promise<void> {
  for (let index = 0; index < 5; index++) {
    collectGarbage?.()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const steps: Readonly<Record<string, () => void | Promise<void>>> = {
  plant: () => {
    kept = marker()
  },
  remove: () => {
    kept?.fill(0)
  },
  encrypt: () => {
    sealed()
    sealed(100_000)
  },
  encryptOnPool: async () => {
    const data = Buffer.allocUnsafeSlow(300_000).fill(0)
    const mark = marker()
    mark.copy(data, 250_000)
    const sealing = records.encryptOnPool(session, data, 0)
    mark.fill(0)
    data.fill(0)
    text(await sealing)
  },
  decrypt: () => {
    kept = bytes(records.decrypt(session, sealed(), 0))
  },
  decryptLarge: () => {
    kept = bytes(records.decrypt(session, sealed(50_000), 0))
  },
  decryptOnPool: async () => {
    kept = bytes(await records.decryptOnPool(session, sealed(300_000), 0))
  },
  clear: () => {
    native.clearPlaintext(kept ?? Buffer.alloc(0))
  },
  collect: async () => {
    kept = undefined
    moveOn()
    await turns()
  },
  collectInOneTurn: () => {
    kept = undefined
    moveOn()
    for (let round = 0; round < 20; round++) {
      collectGarbage()
      for (let index = 0; index < 40; index++) moveOn()
    }
  },
  decryptString: () => {
    assert.equal(records.decryptString(session, sealed(), 0), fault.notUtf8)
    assert.equal(records.decryptString(session, sealed(2_000_000), 0), fault.notUtf8)
  },
  decryptStringOnPool: async () => {
    assert.equal(await records.decryptStringOnPool(session, sealed(300_000), 0), fault.notUtf8)
  },
  canary: async () => {
    native.takeCanaryFailures()
    for (const size of [100, 20_000]) {
      const opened = bytes(guarded.decrypt(session, text(records.encrypt(session, Buffer.alloc(size), 0)), 0))
      if (size === 100) new Uint8Array(opened.buffer, opened.byteOffset - 16, 16).fill(0)
    }
    moveOn()
    await turns()
    assert.equal(native.takeCanaryFailures(), 1)
    await turns()
    assert.equal(native.takeCanaryFailures(), 0)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  await steps[line]?.()
  console.log(`done ${line}`)
}
