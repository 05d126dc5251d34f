import { type KeyMeta, KeyRotation, type ServiceKeyIds } from 'asherah/admin'
import { boundOf, boundText } from '../bound.ts'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { stateOf } from '../key-view.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { declareSelection, readSelection, type Selection, selectedRows } from '../selection.ts'
import { shownTime } from '../times.ts'
import { dryRun } from './keys-revoke.ts'

/** Writes newer generations of keys ahead of their time; the older ones go on decrypting. */
export const keysRotateCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: declareSelection,
  run: async (context, { options }) => {
    const selection = readSelection(options)
    return withMetastore(context, async (opened) => {
      const { output, confirmed } = context
      const { config, ids, metastore } = opened
      const plan = await latestOf(context, opened, selection)
      // System keys first, so that the intermediate keys made after them are sealed under the new ones.
      const order = plan.toSorted((one, other) => Number(isSystem(ids, other)) - Number(isSystem(ids, one)))
      if (order.length === 0) {
        throw new CommandError(
          'ERR_ABSENT',
          'there are no such keys whose latest generation is valid; one that is expired or revoked is replaced at its next use',
          'asherah keys list',
        )
      }
      if (confirmed) {
        const rotation = await KeyRotation.open(context.configuration(), metastore)
        const progress = context.progress('rotating', order.length)
        try {
          for (const { keyId, created } of order) {
            await context.checkInterrupted('--older-than DURATION leaves out what was rotated')
            const made = await context.act({ rotate: keyId, from: created }, () => rotation.rotate(keyId))
            progress.advance()
            await output.tell({ keyId, from: created, created: made.created }, () => {
              return `rotated  ${shownTime(created)} to ${shownTime(made.created)}  ${printable(keyId)}`
            })
          }
        } finally {
          progress.stop()
          await rotation.close()
        }
      } else {
        for (const { keyId, created } of order) {
          await output.tell({ keyId, from: created, wouldRotate: true }, () => {
            return `would rotate  ${shownTime(created)}  ${printable(keyId)}`
          })
        }
      }
      const bound = boundOf(config)
      await output.tell({ dryRun: !confirmed, rotated: order.length, seenBy: bound.seenBy }, () =>
        [
          confirmed ? `${order.length} rotated.` : dryRun(order.length, 'rotate'),
          boundText(config, bound),
          'The canonical Go library goes on encrypting under the old key until that expires: revoke it too where that matters.',
        ].join('\n'),
      )
      return undefined
    })
  },
}

/** The latest generation of each id that new keys are written under, where it is valid and old enough. */
async function latestOf(
  context: CommandContext,
  { admin, ids, config }: Opened,
  selection: Selection,
): Promise<readonly KeyMeta[]> {
  const { before, what } = selection
  if (what.kind === 'key' && what.created !== undefined) {
    throw new CommandError('ERR_USAGE', '--created is for keys that are revoked; it is an id that is rotated')
  }
  const latest = new Map<string, KeyMeta & { readonly usable: boolean }>()
  for await (const row of selectedRows(admin, ids, { what, before: undefined }, context.output)) {
    const { keyId, created } = row
    if (!isWritten(ids, keyId) || created <= (latest.get(keyId)?.created ?? Number.NEGATIVE_INFINITY))
      continue
    latest.set(keyId, { keyId, created, usable: stateOf(row, config) === 'valid' })
  }
  return [...latest.values()].filter(
    ({ created, usable }) => usable && (before === undefined || created < before),
  )
}

/** Whether new keys of this service are written under the id: those of other regions are theirs to rotate. */
function isWritten(ids: ServiceKeyIds, keyId: string): boolean {
  return ids.identify(keyId)?.suffix === ids.parts.regionSuffix
}

function isSystem(ids: ServiceKeyIds, { keyId }: KeyMeta): boolean {
  return keyId === ids.systemKeyId
}
