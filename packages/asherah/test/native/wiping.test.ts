import assert from 'node:assert/strict'
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { asciiMarker, marker, textMarker } from './marker.ts'

/** How often these bytes stand in the readable memory of another process. */
function occurrences(pid: number, needle: Buffer): number {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const piece = Buffer.alloc(4 << 20)
  let found = 0
  for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
    const [, first, end, access] = /^([0-9a-f]+)-([0-9a-f]+) (\S+)/.exec(line) ?? []
    if (first === undefined || end === undefined || !access?.startsWith('r') || /\[v(var|sys|dso)/.test(line))
      continue
    let at = BigInt(`0x${first}`)
    const last = BigInt(`0x${end}`)
    while (at < last) {
      const wanted = Number(last - at < BigInt(piece.length) ? last - at : BigInt(piece.length))
      const read = readAt(memory, piece, wanted, at)
      if (read === 0) break
      for (
        let hit = piece.indexOf(needle);
        hit >= 0 && hit + needle.length <= read;
        hit = piece.indexOf(needle, hit + 1)
      )
        found++
      // A piece overlaps the next one, so that a marker across the edge is seen, and once.
      at += BigInt(read === wanted && at + BigInt(read) < last ? read - needle.length + 1 : read)
    }
  }
  closeSync(memory)
  return found
}

function readAt(file: number, into: Buffer, length: number, position: bigint): number {
  try {
    return readSync(file, into, 0, length, position)
  } catch {
    // Pages that the kernel does not show, such as guard pages.
    return 0
  }
}

describe('plaintext in memory', { skip: process.platform === 'linux' ? false : 'needs /proc' }, () => {
  let child: ChildProcessWithoutNullStreams
  let lines: AsyncIterator<string>
  let errors = ''

  before(() => {
    const args = ['--expose-gc', join(import.meta.dirname, 'wiping-child.ts')]
    child = spawn(process.execPath, args, {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    }) as ChildProcessWithoutNullStreams
    child.stderr.on('data', (chunk: Buffer) => {
      errors += chunk.toString()
    })
    lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  })
  after(() => child.kill('SIGKILL'))

  async function step(name: string, needle = marker()): Promise<number> {
    child.stdin.write(`${name}\n`)
    const answer = await lines.next()
    assert.equal(answer.value, `done ${name}`, errors)
    return occurrences(child.pid ?? 0, needle)
  }

  it('is found by this test when it is there', async () => {
    assert.equal(await step('plant'), 1)
    assert.equal(await step('remove'), 0)
  })

  it('leaves nothing behind when it is encrypted, in line or on the pool', async () => {
    assert.equal(await step('encrypt'), 0)
    assert.equal(await step('encryptOnPool'), 0)
  })

  it('is in one place when it is decrypted, and in none when it is cleared', async () => {
    assert.equal(await step('decrypt'), 1)
    assert.equal(await step('clear'), 0)
  })

  it('is wiped when its slab is collected', async () => {
    assert.equal(await step('decrypt'), 1)
    assert.equal(await step('collect'), 0)
  })

  it('is wiped when a result with memory of its own is collected', async () => {
    assert.equal(await step('decryptLarge'), 1)
    assert.equal(await step('collect'), 0)
    assert.equal(await step('decryptOnPool'), 1)
    assert.equal(await step('collect'), 0)
  })

  it('is wiped when a loop that never lets the event loop turn goes on', async () => {
    assert.equal(await step('decrypt'), 1)
    assert.equal(await step('collectInOneTurn'), 0)
    const [, , , waiting] = child.stdio
    assert.ok(waiting instanceof Writable)
    waiting.write('.')
    assert.equal((await lines.next()).value, 'done collectInOneTurn', errors)
  })

  it('is wiped from the scratch memory when it is no text', async () => {
    assert.equal(await step('decryptString'), 0)
    assert.equal(await step('decryptStringOnPool'), 0)
  })

  it('is in no memory of the addon once its text was encrypted or decrypted, in line or on the pool', async () => {
    assert.equal(await step('plantText', textMarker()), 1)
    assert.equal(await step('remove', textMarker()), 0)
    assert.equal(await step('encryptText', textMarker()), 0)
    assert.equal(await step('decryptText', textMarker()), 0)
  })

  it('is wiped when a large text is collected', async () => {
    for (const decrypt of ['decryptLargeText', 'decryptLargeTextOnPool']) {
      assert.equal(await step(decrypt, asciiMarker()), 1)
      assert.equal(await step('collect', asciiMarker()), 0)
    }
  })

  it('reports an overwritten canary of a slab that is collected', async () => {
    assert.equal(await step('canary'), 0)
  })

  it('ends well', async () => {
    child.stdin.end()
    const [code] = (await once(child, 'exit')) as [number]
    assert.equal(code, 0, errors)
  })
})
