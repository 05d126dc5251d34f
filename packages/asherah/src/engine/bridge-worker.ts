import { BroadcastChannel, workerData } from 'node:worker_threads'
import type { Moment } from '../clock.ts'
import { AsherahError } from '../errors.ts'
import type { RingHandle } from '../native/binding.ts'
import { loadNative } from '../native/load.ts'
import { installLogHook, Log, type LogEvent } from '../observability/log.ts'
import { channelName } from './bridge.ts'
import { AnswerBuffer, type BridgeAnswer, type BridgeEngine, type BridgeMessage } from './bridge-protocol.ts'
import { Engine } from './engine.ts'
import { drive } from './work.ts'

const native = loadNative()
const log = new Log('asherah::bridge', false)
const engines = new Map<RingHandle, { readonly engine: Engine; at: Moment }>()

// The events of calls that overlap go to whichever is answered first: each is told once.
let events: LogEvent[] = []
installLogHook((event) => events.push(event))

function engineOf(parts: BridgeEngine, at: Moment): Engine {
  const known = engines.get(parts.intermediateKeys)
  if (known !== undefined) {
    known.at = at
    return known.engine
  }
  const entry: { at: Moment; readonly engine: Engine } = {
    at,
    engine: Engine.overRings(native, parts, {
      now: () => entry.at.wallMs,
      monotonic: () => entry.at.monotonicMs,
    }),
  }
  engines.set(parts.intermediateKeys, entry)
  return entry.engine
}

async function answer(message: BridgeMessage): Promise<void> {
  if (message.kind === 'forget') {
    const known = engines.get(message.intermediateKeys)
    engines.delete(message.intermediateKeys)
    if (known !== undefined) await drive(known.engine.close())
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

function told(thrown: unknown): { name: string; message: string } {
  return thrown instanceof Error
    ? { name: thrown.name, message: thrown.message }
    : { name: typeof thrown, message: '' }
}

const channel = new BroadcastChannel(channelName(native))
channel.onmessage = (event): void => {
  const message = (event as { data: BridgeMessage }).data
  answer(message).catch((error: unknown) => log.warnOnceAMinute('the bridge could not answer', error))
}
native.bridgeReady((workerData as { generation: number }).generation)
