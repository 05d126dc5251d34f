import { readFileSync } from 'node:fs'
import { text as textOf } from 'node:stream/consumers'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { stateOf } from '../key-view.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { shownAge, shownTime } from '../times.ts'

/** What a record shows of itself. None of it is authenticated. */
interface Shape {
  readonly recordBytes: number
  readonly payloadBytes: number
  readonly sealedAt: string
  readonly keyId: string
  /** Unix seconds. */
  readonly created: number
  readonly wrappedKeyBytes: number
}

/** Bytes that sealing adds: tag and nonce (contract section 2.1). */
const overhead = 28

/** Shows what a record is, without decrypting it. */
export const inspectCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    command.argument('<record>', 'its JSON text; @FILE for that of a file, - for stdin')
    command.option('--offline', 'do not look its keys up')
  },
  run: async (context, { args: [given = ''], options }) => {
    const shape = shapeOf(await recordText(given, context))
    if (options['offline'] === true) await context.output.tell(shape, () => textOfShape(shape).join('\n'))
    else await withMetastore(context, (opened) => tellLookedUp(context, opened, shape))
    return undefined
  },
}

async function recordText(given: string, { host }: CommandContext): Promise<string> {
  if (given === '-') return (await textOf(host.stdin)).trim()
  if (!given.startsWith('@')) return given.trim()
  const path = given.slice(1)
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException
    throw new CommandError('ERR_INPUT', `${path} cannot be read (${code})`, undefined, { cause })
  }
}

function shapeOf(text: string): Shape {
  const refuse = (reason: string): CommandError =>
    new CommandError('ERR_INPUT', `it is no record: ${reason}`, 'it begins with {"Key":{"Created":')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refuse('it is no JSON')
  }
  const { Key: envelope, Data: data } = members(value)
  const { Created: sealed, Key: key, ParentKeyMeta: parent } = members(envelope)
  const { KeyId: keyId, Created: created } = members(parent)
  const payload = base64(data)
  const wrapped = base64(key)
  if (payload === undefined || payload < overhead)
    throw refuse("it has no 'Data' of 28 bytes or more in base64")
  if (wrapped === undefined) throw refuse("it has no 'Key.Key' in base64")
  if (typeof keyId !== 'string' || !isSeconds(created)) throw refuse("it has no 'Key.ParentKeyMeta'")
  if (!isSeconds(sealed)) throw refuse("it has no 'Key.Created'")
  return {
    recordBytes: Buffer.byteLength(text),
    payloadBytes: payload - overhead,
    sealedAt: shownTime(sealed),
    keyId,
    created,
    wrappedKeyBytes: wrapped,
  }
}

function members(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isSeconds(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

/** How many bytes a base64 text stands for. */
function base64(value: unknown): number | undefined {
  if (typeof value !== 'string') return undefined
  const bytes = Buffer.from(value, 'base64')
  return bytes.toString('base64') === value ? bytes.length : undefined
}

function textOfShape({
  recordBytes,
  payloadBytes,
  sealedAt,
  keyId,
  created,
  wrappedKeyBytes,
}: Shape): string[] {
  const odd = wrappedKeyBytes === 60 ? '' : `, not 60: it cannot be opened`
  return [
    `record            ${recordBytes} bytes`,
    `payload           ${payloadBytes} bytes`,
    `sealed            ${sealedAt}`,
    `data row key      ${wrappedKeyBytes} bytes wrapped${odd}`,
    `intermediate key  ${printable(keyId)}`,
    `  created         ${shownTime(created)}, ${shownAge(created)} ago`,
  ]
}

async function tellLookedUp(context: CommandContext, opened: Opened, shape: Shape): Promise<void> {
  const { admin, ids, config } = opened
  const row = await admin.get(shape.keyId, shape.created)
  const identity = ids.identify(shape.keyId)
  const parent = row?.record.parentKeyMeta
  const systemKey = parent === undefined ? undefined : await admin.get(parent.keyId, parent.created)
  const told = {
    ...shape,
    ...(identity?.partitionId !== undefined && { partition: identity.partitionId }),
    ofThisService: identity?.kind === 'intermediate',
    intermediateKey: row === undefined ? 'missing' : stateOf(row, config),
    ...(parent !== undefined && {
      systemKey: { ...parent, state: systemKey === undefined ? 'missing' : stateOf(systemKey, config) },
    }),
  }
  await context.output.tell(told, () => {
    const lines = textOfShape(shape)
    lines.push(
      `  of              ${told.ofThisService ? `partition ${JSON.stringify(told.partition)}` : 'another service'}`,
    )
    lines.push(
      `  state           ${told.intermediateKey}${row === undefined ? ': the record cannot be read here' : ''}`,
    )
    if (told.systemKey !== undefined) {
      const { keyId, created, state } = told.systemKey
      lines.push(`system key        ${printable(keyId)}`)
      lines.push(`  created         ${shownTime(created)}, ${shownAge(created)} ago`)
      lines.push(`  state           ${state}`)
    }
    return lines.join('\n')
  })
}
