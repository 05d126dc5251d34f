// How long the event loop stands still during one asynchronous call with a large payload, and how long one copy of that
// payload into new memory takes. Prints JSON, `[{name, copy, rounds}]`, in milliseconds.
import { randomBytes } from 'node:crypto'
import { SessionFactory } from 'asherah'
import { configuration } from '../configuration.ts'
import { sizeName } from '../core-loop.ts'

const rounds = Number(process.argv[2])
const session = new SessionFactory(configuration()).getSession('tenant-42')

/** The longest time between two turns of the event loop while the call is under way, its own beginning included. */
async function stall(call: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let last = performance.now()
  const note = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  let pending = true
  const done = call().finally(() => {
    pending = false
  })
  note()
  while (pending) {
    await new Promise((resolve) => setImmediate(resolve))
    note()
  }
  await done
  return longest
}

function copyMs(bytes: Uint8Array): number {
  const start = performance.now()
  Buffer.allocUnsafeSlow(bytes.length).set(bytes)
  return performance.now() - start
}

const series: { name: string; copy: string | null; rounds: number[] }[] = []

for (const size of [1 << 20, 32 << 20]) {
  const data = randomBytes(size)
  const text = randomBytes(size / 2).toString('hex')
  const record = session.encrypt(data)
  const textRecord = session.encryptString(text)
  const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['encryptAsync', () => session.encryptAsync(data)],
    ['decryptAsync', () => session.decryptAsync(record)],
    ['encryptStringAsync', () => session.encryptStringAsync(text)],
    ['decryptStringAsync', () => session.decryptStringAsync(textRecord)],
  ]
  const copy = { name: `a copy of ${sizeName(size)}`, copy: null, rounds: [] as number[] }
  const stalls = calls.map(([name]) => ({
    name: `stall, ${name} ${sizeName(size)}`,
    copy: copy.name,
    rounds: [] as number[],
  }))
  for (let round = -1; round < rounds; round++) {
    const copied = copyMs(data)
    if (round >= 0) copy.rounds.push(copied)
    for (const [index, [, call]] of calls.entries()) {
      const stood = await stall(call)
      if (round >= 0) stalls[index]?.rounds.push(stood)
    }
  }
  series.push(copy, ...stalls)
}
console.log(JSON.stringify(series))
