import type { CommandSpec } from '../command.ts'
import { CommandError } from '../command-error.ts'
import { keyLine, keyView } from '../key-view.ts'
import { withMetastore } from '../opened.ts'
import { beforeOf, everyRow } from '../selection.ts'

const states = ['valid', 'expired', 'revoked']

/** Lists keys, one a line, of any number at bounded memory. */
export const keysListCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    command
      .option('--prefix <text>', 'keys whose id begins with it, of whichever service')
      .option('--partition <id>', 'the intermediate keys of one partition')
      .option('--system', 'system keys only')
      .option('--state <state>', states.join(', '))
      .option('--older-than <duration>', 'those older than: 90d, 12h')
      .option('--created-before <time>', 'those created before: 2026-11-22T08:00:00Z, or Unix seconds')
  },
  run: async (context, { options }) => {
    const { prefix, partition, system, state } = options
    if (state !== undefined && !states.includes(String(state))) {
      throw new CommandError('ERR_USAGE', `--state must be one of ${states.join(', ')}`)
    }
    const before = beforeOf(options)
    return withMetastore(context, async ({ admin, ids, config }) => {
      const queries =
        typeof partition === 'string'
          ? ids.intermediateKeyIds(partition).map((keyId) => ({ keyId }))
          : [{ prefix: typeof prefix === 'string' ? prefix : system === true ? '_SK_' : '_' }]
      for (const query of queries) {
        for await (const row of everyRow(admin, query, context.output)) {
          await context.checkInterrupted()
          const view = keyView(row, ids, config)
          if (prefix === undefined && view.kind === 'other') continue
          if (system === true && !row.keyId.startsWith('_SK_')) continue
          if (state !== undefined && view.state !== state) continue
          if (before === undefined || row.created < before)
            await context.output.tell(view, () => keyLine(view))
        }
      }
      return undefined
    })
  },
}
