import { BroadcastChannel, workerData } from 'node:worker_threads'
import type { Moment } from '../clock.ts'
import { AsherahError } from '../errors.ts'
import type { RingHandle } from '../native/binding.ts'
import { loadNative } from '../native/load.ts'
import { installLogHook, Log, type LogEvent } from '../observability/log.ts'
import { channelName } from './bridge.ts'
import { AnswerBuffer, type BridgeAnswer, type BridgeEngine, type BridgeMessage } from './bridge-protocol.ts'
import { Engine } from './engine.ts'
import { type SharedMetastore, SharedMetastores } from './shared-metastores.ts'
import { drive } from './work.ts'

const native = loadNative()
const log = new Log('asherah::bridge', false)
const metastores = new SharedMetastores()

interface KnownEngine {
  readonly engine: Engine
  readonly metastore: SharedMetastore
  at: Moment
  since: number
}

const engines = new Map<RingHandle, KnownEngine>()

// The events of calls that overlap go to whichever is answered first: each is told once.
let events: LogEvent[] = []
installLogHook((event) => events.push(event))

function engineOf(parts: BridgeEngine, at: Moment): Engine {
  const known = engines.get(parts.intermediateKeys)
  if (known !== undefined) {
    known.at = at
    known.since = performance.now()
    return known.engine
  }
  const clock = {
    now: () => entry.at.wallMs,
    // Goes on, so that a check that takes long to fail still opens its back-off from then.
    monotonic: () => entry.at.monotonicMs + (performance.now() - entry.since),
  }
  const metastore = metastores.take(parts.config, parts.secrets)
  const engine = Engine.overRings(native, parts, clock, metastore.metastore)
  const entry: KnownEngine = { engine, metastore, at, since: performance.now() }
  engines.set(parts.intermediateKeys, entry)
  return entry.engine
}

async function answer(message: BridgeMessage): Promise<void> {
  if (message.kind === 'forget') {
    const known = engines.get(message.intermediateKeys)
    engines.delete(message.intermediateKeys)
    if (known === undefined) return
    await drive(known.engine.close())
    await drive(known.metastore.giveBack())
    return
  }
  let error: BridgeAnswer['error']
  try {
    await engineOf(message.engine, message.at).inLine.ask(message.question)
  } catch (thrown) {
    error = crossing(thrown)
  }
  // Hooks are told in a turn of their own; wait for it, so that the events travel with the answer.
  await new Promise((resolve) => setImmediate(resolve))
  const told = events
  events = []
  new AnswerBuffer(message.answer).write({ ...(error === undefined ? {} : { error }), events: told })
}

function crossing(thrown: unknown): NonNullable<BridgeAnswer['error']> {
  if (!(thrown instanceof AsherahError)) {
    return {
      code: 'ERR_BRIDGE',
      message: 'The thread that loads keys met an error of its own.',
      cause: told(thrown),
    }
  }
  const { code, message, cause } = thrown
  return { code, message, ...(cause === undefined ? {} : { cause: told(cause) }) }
}

/** Characters of a cause's message that cross: all of it together must fit into the answer. */
const longestCause = 8_192

function told(thrown: unknown): { name: string; message: string } {
  return thrown instanceof Error
    ? { name: thrown.name, message: thrown.message.slice(0, longestCause) }
    : { name: typeof thrown, message: '' }
}

const channel = new BroadcastChannel(channelName(native))
channel.onmessage = (event): void => {
  const message = (event as { data: BridgeMessage }).data
  answer(message).catch((error: unknown) => log.warnOnceAMinute('the bridge could not answer', error))
}
native.bridgeReady((workerData as { generation: number }).generation)
