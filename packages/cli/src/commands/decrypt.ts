import { AsherahError, clearPlaintext, type SessionFactory } from 'asherah'
import type { CommandSpec } from '../command.ts'
import { decryptTexts, type Outcome, type Owned } from '../data/by-partition.ts'
import { convertRows, eachCell } from '../data/convert-rows.ts'
import { wholePartition, withRecords } from '../data/record-work.ts'
import { declareRowFlags, readRowFormat, rowsOf } from '../data/row-options.ts'
import { readWhole } from '../data/text-source.ts'

/** A record of 64 MiB in base64, with room for its keys. */
const mostBytes = 96 * 1024 * 1024

/** Opens what `encrypt` sealed, or an application. */
export const decryptCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    declareRowFlags(command)
    command.option('--json-values', 'with jsonl: what was sealed with --json-values')
  },
  run: async (context, { options }) => {
    const format = readRowFormat(options)
    if (format === undefined) {
      const partition = wholePartition(options)
      await withRecords(context, options, 'decrypting', async ({ source, sink, onBytes }, factory) => {
        const record = await readWhole(source, mostBytes)
        onBytes(record.length)
        const data = await factory.getSession(partition).decryptAsync(trimmed(record))
        const bytes = data.length
        await sink.write(data)
        clearPlaintext(data)
        return { summary: { decrypted: 1, bytes }, text: `decrypted ${bytes} bytes` }
      })
      return undefined
    }
    const values = options['jsonValues'] === true ? 'values' : 'strings'
    const open = values === 'values' ? decryptJson : decryptTexts
    await withRecords(context, options, 'decrypting', async ({ source, sink, onBytes }, factory) => {
      const stream = rowsOf(source, format, { read: 'strings', written: values }, onBytes)
      const convert = eachCell(factory, { ...format, source: source.name }, open)
      const rows = await convertRows(stream, sink, convert, () => context.checkInterrupted())
      return {
        summary: { rows, columns: format.plan.columns },
        text: `decrypted ${format.plan.columns.join(', ')} of ${rows} rows`,
      }
    })
    return undefined
  },
}

/** Without the line break that editors and shells put behind a record. */
function trimmed(record: Buffer): Buffer {
  let end = record.length
  while (end > 0 && (record[end - 1] === 0x0a || record[end - 1] === 0x0d)) end -= 1
  return record.subarray(0, end)
}

/** Texts that take the place of a JSON value, so they must be one: any other would change what stands around it. */
async function decryptJson(
  factory: SessionFactory,
  owned: readonly Owned<string>[],
): Promise<readonly Outcome<string>[]> {
  const outcomes = await decryptTexts(factory, owned)
  return outcomes.map((outcome) => {
    if (outcome.error !== undefined || isJsonLine(outcome.value)) return outcome
    const message = 'What the record holds is no JSON value: it was sealed without --json-values.'
    return { error: new AsherahError('ERR_RECORD_MALFORMED', message) }
  })
}

function isJsonLine(text: string): boolean {
  try {
    JSON.parse(text)
    return !/[\r\n]/.test(text)
  } catch {
    return false
  }
}
