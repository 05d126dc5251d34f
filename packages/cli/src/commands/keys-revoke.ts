import type { KeyRow } from 'asherah/admin'
import { boundOf, boundText } from '../bound.ts'
import type { CommandSpec } from '../command.ts'
import { goesOn } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { keyLine, keyView } from '../key-view.ts'
import { withMetastore } from '../opened.ts'
import { declareSelection, readSelection, selectedRows } from '../selection.ts'

/** Other implementations truncate the time of a new key to the minute: contract section 3.3, the same-window trap. */
const windowSeconds = 60

/** Marks keys as revoked: they encrypt no more, and decrypt for ever. There is no way back. */
export const keysRevokeCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: declareSelection,
  run: async (context, { options }) => {
    const selection = readSelection(options)
    return withMetastore(context, async ({ admin, ids, config }) => {
      const { output, confirmed } = context
      const counts = { revoked: 0, already: 0, absent: 0 }
      let young = 0
      const revoke = async (row: KeyRow): Promise<keyof typeof counts> => {
        const { keyId, created } = row
        if (row.record.revoked === true) return 'already'
        if (!confirmed) return 'revoked'
        return context.act({ revoke: keyId, created }, () => admin.markRevoked(keyId, created))
      }
      for await (const row of selectedRows(admin, ids, selection, output)) {
        await context.checkInterrupted(goesOn)
        const outcome = await revoke(row)
        counts[outcome] += 1
        if (outcome !== 'revoked') continue
        if (Date.now() / 1000 - row.created < windowSeconds) young += 1
        const view = { ...keyView(row, ids, config), ...(confirmed && { state: 'revoked' as const }) }
        await output.tell({ ...view, [confirmed ? 'revoked' : 'wouldRevoke']: true }, () => {
          return `${confirmed ? 'revoked' : 'would revoke'}  ${keyLine(view)}`
        })
      }
      if (counts.revoked + counts.already === 0) {
        throw new CommandError('ERR_ABSENT', 'there are no such keys', 'asherah keys list')
      }
      const bound = boundOf(config)
      const summary = { dryRun: !confirmed, ...counts, seenBy: bound.seenBy }
      await output.tell(summary, () => {
        if (counts.revoked === 0) return 'All of these keys are revoked already.'
        const lines = [boundText(config, bound)]
        if (young > 0) {
          lines.push(
            `${young} of them are younger than a minute: other implementations use them until the minute is over.`,
          )
        }
        const done = `${counts.revoked} revoked.`
        return [confirmed ? done : dryRun(counts.revoked, 'revoke'), ...lines].join('\n')
      })
      return undefined
    })
  },
}

/** The last word of a dry run. */
export function dryRun(count: number, verb: string): string {
  return `This was a dry run: nothing was changed. With --yes it would ${verb} ${count} ${count === 1 ? 'key' : 'keys'}.`
}
