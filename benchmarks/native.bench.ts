// The addon's per-record calls against the Rust core's own loop, in one run. To be run on a quiet machine: read ratios.
import { randomBytes } from 'node:crypto'
import type { KeyHandle, RingHandle, SessionHandle } from '../packages/asherah/src/native/binding.ts'
import { checked } from '../packages/asherah/src/native/checked.ts'
import { loadNative } from '../packages/asherah/src/native/load.ts'
import { Records } from '../packages/asherah/src/native/records.ts'
import { run } from '../scripts/command.ts'

const sizes = [64, 1024, 8192]
const batches = 7
const batchMs = 40

const native = loadNative()
checked(native.memoryPrepare(256, false))
const id = '_IK_tenant-42_api_catalog'
const ring = checked(native.ringCreate({ capacity: 16, suffix: '', acceptedSuffixes: [] })) as RingHandle
const key = checked(native.keyGenerate()) as KeyHandle
const far = Number.MAX_SAFE_INTEGER
checked(native.ringPut(ring, id, 1_795_315_800, key, far, false, far, far, true))
const session = checked(native.sessionOpen(ring, id)) as SessionHandle
const records = new Records(native, { isolated: false, canaries: false }, () => undefined)

function text(answer: string | number): string {
  if (typeof answer === 'number') throw new Error(`the data plane answered ${answer}`)
  return answer
}

/** Nanoseconds a call, the median of several batches, as the core's loop measures itself. */
async function measure(call: () => unknown): Promise<number> {
  let calls = 1
  const timed = (): number => {
    const start = process.hrtime.bigint()
    for (let index = 0; index < calls; index++) call()
    return Number(process.hrtime.bigint() - start)
  }
  while (timed() < batchMs * 1e6) calls *= 2
  const times: number[] = []
  for (let batch = 0; batch < batches; batch++) {
    times.push(timed() / calls)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return times.toSorted((one, other) => one - other)[batches >> 1] ?? Number.NaN
}

type CoreFigures = Readonly<Record<'encrypt' | 'decrypt', Readonly<Record<string, number>>>>

async function coreLoop(): Promise<CoreFigures> {
  const command = [
    'run',
    '--release',
    '--quiet',
    '--locked',
    '--package',
    'asherah-core',
    '--example',
    'core_bench',
  ]
  const { code, output } = await run('cargo', [...command, '--', '--json', '--quick'])
  if (code !== 0) throw new Error(output)
  return JSON.parse(output) as CoreFigures
}

const core = await coreLoop()
console.log('                          core       addon    ratio')
for (const size of sizes) {
  const data = randomBytes(size)
  const ascii = randomBytes(size / 2).toString('hex')
  const sealed = text(records.encrypt(session, data, 0))
  const sealedText = text(records.encryptString(session, ascii, 0))
  const calls: readonly (readonly [string, 'encrypt' | 'decrypt', () => unknown])[] = [
    ['encrypt', 'encrypt', () => records.encrypt(session, data, 0)],
    ['encryptString', 'encrypt', () => records.encryptString(session, ascii, 0)],
    ['decrypt', 'decrypt', () => records.decrypt(session, sealed, 0)],
    ['decryptString', 'decrypt', () => records.decryptString(session, sealedText, 0)],
  ]
  for (const [name, kind, call] of calls) {
    const own = await measure(call)
    const bare = core[kind][size]
    const ratio = bare === undefined ? '' : (own / bare).toFixed(2)
    const columns = [bare === undefined ? '?' : `${bare.toFixed(0)} ns`, `${own.toFixed(0)} ns`, ratio]
    console.log(
      `${name.padEnd(14)}${`${size} B`.padStart(7)}${columns.map((text) => text.padStart(10)).join('')}`,
    )
  }
}
