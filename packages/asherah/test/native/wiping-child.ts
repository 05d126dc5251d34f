// What wiping.test.ts looks into: one step for each line on standard input, and a byte on descriptor 3 where it stands still.
import assert from 'node:assert/strict'
import { readSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { asciiMarker, markedText, marker, textMarker } from './marker.ts'
import { bytes, fault, native, partition, recordsWith, text } from './partition.ts'

const collectGarbage = globalThis.gc
if (collectGarbage === undefined) throw new Error('start this with --expose-gc')

const { session } = partition()
const records = recordsWith()
const guarded = recordsWith({ canaries: true })
const filler = text(records.encrypt(session, Buffer.alloc(8192), 0))
let kept: Buffer | string | undefined

/** Seals `before` zero bytes and the marker. */
function sealed(before = 0, mark = marker()): string {
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

/** Marked texts that fit the memory at first, that do not, and whose UTF-8 is longer than is guessed then. */
function texts(): readonly string[] {
  const mark = markedText()
  const marks = mark.repeat(8)
  return [mark, marks + 'x'.repeat(5000), marks + 'x'.repeat(300_000), marks + 'ä'.repeat(300_000)]
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
  plantText: () => {
    kept = textMarker()
  },
  remove: () => {
    if (Buffer.isBuffer(kept)) kept.fill(0)
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
    native.clearPlaintext(Buffer.isBuffer(kept) ? kept : Buffer.alloc(0))
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
    writeSync(1, 'done collectInOneTurn\n')
    readSync(3, Buffer.alloc(1))
  },
  decryptString: () => {
    assert.equal(records.decryptString(session, sealed(), 0), fault.notUtf8)
    assert.equal(records.decryptString(session, sealed(2_000_000), 0), fault.notUtf8)
  },
  decryptStringOnPool: async () => {
    assert.equal(await records.decryptStringOnPool(session, sealed(300_000), 0), fault.notUtf8)
  },
  encryptText: async () => {
    for (const text of texts()) {
      records.encryptString(session, text, 0)
      await records.encryptStringOnPool(session, text, 0)
    }
  },
  decryptText: async () => {
    for (const before of [0, 200_000]) {
      const record = sealed(before, textMarker())
      const { length } = text(records.decryptString(session, record, 0))
      assert.equal(length, before + 96)
      assert.equal(text(await records.decryptStringOnPool(session, record, 0)).length, length)
    }
  },
  decryptLargeText: () => {
    kept = text(records.decryptString(session, sealed(200_000, asciiMarker()), 0))
  },
  decryptLargeTextOnPool: async () => {
    kept = text(await records.decryptStringOnPool(session, sealed(200_000, asciiMarker()), 0))
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
