import { clearPlaintext } from 'asherah'
import type { CommandSpec } from '../command.ts'
import { encryptTexts } from '../data/by-partition.ts'
import { convertRows, eachCell } from '../data/convert-rows.ts'
import { wholePartition, withRecords } from '../data/record-work.ts'
import { declareRowFlags, readRowFormat, rowsOf } from '../data/row-options.ts'
import { readWhole } from '../data/text-source.ts'

/** The most that one record holds. */
const mostBytes = 64 * 1024 * 1024

/** Seals a whole input as one record, or each cell of some columns as one. */
export const encryptCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    declareRowFlags(command)
    command.option('--json-values', 'with jsonl: seal values of any kind, each as its JSON text')
  },
  run: async (context, { options }) => {
    const format = readRowFormat(options)
    if (format === undefined) {
      const partition = wholePartition(options)
      await withRecords(context, options, 'encrypting', async ({ source, sink, onBytes }, factory) => {
        const data = await readWhole(source, mostBytes)
        onBytes(data.length)
        const record = await factory.getSession(partition).encryptAsync(data)
        const bytes = data.length
        clearPlaintext(data)
        await sink.write(`${record}\n`)
        return { summary: { encrypted: 1, bytes }, text: `encrypted ${bytes} bytes` }
      })
      return undefined
    }
    const values = options['jsonValues'] === true ? 'values' : 'strings'
    await withRecords(context, options, 'encrypting', async ({ source, sink, onBytes }, factory) => {
      const stream = rowsOf(source, format, { read: values, written: 'strings' }, onBytes)
      const convert = eachCell(factory, { ...format, source: source.name }, encryptTexts)
      const rows = await convertRows(stream, sink, convert, () => context.checkInterrupted())
      return {
        summary: { rows, columns: format.plan.columns },
        text: `encrypted ${format.plan.columns.join(', ')} of ${rows} rows`,
      }
    })
    return undefined
  },
}
