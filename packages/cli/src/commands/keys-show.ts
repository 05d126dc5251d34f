import type { KeyRow } from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import { CommandError } from '../command-error.ts'
import { keyView } from '../key-view.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { everyRow } from '../selection.ts'
import { shownAge, shownTime, typedTime } from '../times.ts'

/** Shows one key: each generation, its parent, its size. */
export const keysShowCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    command.argument('<key-id>', 'as `asherah keys list` shows it')
    command.option('--created <time>', 'the generation that was created then')
  },
  run: (context, { args: [keyId = ''], options }) =>
    withMetastore(context, async (opened) => {
      const { created } = options
      const at = typeof created === 'string' ? typedTime('--created', created) : undefined
      let found = 0
      for await (const row of everyRow(opened.admin, { keyId }, context.output)) {
        if (at !== undefined && row.created !== at) continue
        found += 1
        const view = { ...keyView(row, opened.ids, opened.config), ...(await more(row, opened)) }
        await context.output.tell(view, () => text(row, view))
      }
      if (found === 0) {
        throw new CommandError('ERR_ABSENT', `there is no key ${JSON.stringify(keyId)}`, 'asherah keys list')
      }
      return undefined
    }),
}

interface More {
  readonly expiresAt: string
  readonly wrappedBytes: number
  readonly parentExists?: boolean
}

async function more({ record }: KeyRow, { admin, config }: Opened): Promise<More> {
  const { parentKeyMeta: parent } = record
  return {
    expiresAt: shownTime(record.created + config.policy.expireAfterSeconds),
    wrappedBytes: record.encryptedKey.length,
    ...(parent !== undefined && {
      parentExists: (await admin.get(parent.keyId, parent.created)) !== undefined,
    }),
  }
}

function text({ keyId, created, record }: KeyRow, view: ReturnType<typeof keyView> & More): string {
  const { parentKeyMeta: parent } = record
  const lines = [
    printable(keyId),
    `  kind     ${view.kind}${view.partition === undefined ? '' : `, partition ${JSON.stringify(view.partition)}`}`,
    `  created  ${view.createdAt}, ${shownAge(created)} ago`,
    `  expires  ${view.expiresAt}`,
    `  state    ${view.state}`,
    `  wrapped  ${view.wrappedBytes} bytes`,
  ]
  if (parent !== undefined) {
    const missing =
      view.parentExists === true ? '' : ', which is not there: what this key sealed cannot be read'
    lines.push(`  parent   ${printable(parent.keyId)} of ${shownTime(parent.created)}${missing}`)
  }
  return lines.join('\n')
}
