import { BroadcastChannel, workerData } from 'node:worker_threads'
import { AsherahError } from '../errors.ts'
import { loadNative } from '../native/load.ts'
import { installLogHook, Log, type LogEvent } from '../observability/log.ts'
import { channelName } from './bridge.ts'
import { BridgeEngines } from './bridge-engines.ts'
import { AnswerBuffer, type BridgeAnswer, type BridgeMessage } from './bridge-protocol.ts'

const native = loadNative()
const log = new Log('asherah::bridge', false)
const engines = new BridgeEngines(native, log)

// The events of calls that overlap go to whichever is answered first: each is told once.
let events: LogEvent[] = []
installLogHook((event) => events.push(event))

async function answer(message: BridgeMessage): Promise<void> {
  let error: BridgeAnswer['error']
  try {
    if (message.kind === 'ask') await engines.of(message.engine, message.at).inLine.ask(message.question)
    else await engines.end(message.intermediateKeys)
  } catch (thrown) {
    if (message.answer === undefined) throw thrown
    error = crossing(thrown)
  }
  if (message.answer === undefined) return
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
