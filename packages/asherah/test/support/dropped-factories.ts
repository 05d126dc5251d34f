// Drops factories without closing them, collects garbage and prints what became of their keys, for
// `factory-remains.test.ts`. Needs --expose-gc.
import { setImmediate as turn } from 'node:timers/promises'
import { resolveConfig } from '../../src/config/config.ts'
import { FactoryCore } from '../../src/factory-core.ts'
import type { KeyHandle, NativeBinding, RingHandle } from '../../src/native/binding.ts'
import { loadNative } from '../../src/native/load.ts'
import { AsherahSession } from '../../src/session.ts'

const native = loadNative()
const config = {
  serviceName: 'api',
  productId: 'catalog',
  metastore: 'memory',
  kms: 'static',
  staticMasterKeyHex: 'ab'.repeat(32),
} as const

function newCore(): FactoryCore {
  return new FactoryCore(resolveConfig(config, {}))
}

/** A stale handle's answer is a fault. */
function isDestroyed(ring: RingHandle): boolean {
  return typeof native.ringStats(ring) === 'number'
}

/** Makes a factory that is used and left; the handle of its ring. */
function drop(): RingHandle {
  const core = newCore()
  new AsherahSession(core, 'p').encryptString('x')
  return core.intermediateKeys.handle
}

/** One whose session is kept. */
function keepSession(): { readonly session: AsherahSession; readonly record: string; ring: RingHandle } {
  const core = newCore()
  const session = new AsherahSession(core, 'p')
  return { session, record: session.encryptString('still here'), ring: core.intermediateKeys.handle }
}

async function collect(until: () => boolean): Promise<boolean> {
  for (let attempt = 0; attempt < 100 && !until(); attempt++) {
    globalThis.gc?.()
    await turn()
  }
  return until()
}

/** The master keys that are held: with the static KMS, no other key is imported. */
const imported = new Set<KeyHandle>()
const { keyImport, keyRelease } = native
Object.assign(native, {
  keyImport(bytes: Uint8Array): KeyHandle {
    const key = keyImport(bytes)
    imported.add(key)
    return key
  },
  keyRelease(key: KeyHandle): number {
    imported.delete(key)
    return keyRelease(key)
  },
} satisfies Partial<NativeBinding>)

let kept: ReturnType<typeof keepSession> | undefined = keepSession()
const dropped = Array.from({ length: 50 }, drop)
const destroyed = await collect(() => dropped.every(isDestroyed))
const masterKeys = imported.size
const liveSession = isDestroyed(kept.ring) ? 'destroyed' : kept.session.decryptString(kept.record)
const { ring } = kept
kept = undefined
const closedAfterwards = await collect(() => isDestroyed(ring))
console.log(JSON.stringify({ destroyed, masterKeys, liveSession, closedAfterwards }))
