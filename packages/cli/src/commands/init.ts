import { metastoreSchema } from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import { withMetastore } from '../opened.ts'

/** Prints, or runs, the statement that makes the metastore's table. */
export const initCommand: CommandSpec = {
  name: 'init',
  summary: "print the statement that makes the metastore's table, or with --yes run it",
  configured: true,
  destructive: true,
  run: (context) =>
    withMetastore(context, async ({ config, metastore }) => {
      const schema = await metastoreSchema(config, metastore)
      const { statement } = schema
      if (statement === undefined) {
        await context.output.tell({ needed: false }, () => 'This metastore needs no table.')
        return undefined
      }
      if (!context.confirmed) {
        await context.output.tell({ dryRun: true, statement }, () => `${statement};`)
        return undefined
      }
      const existed = await schema.exists()
      if (!existed) await context.act({ init: statement }, () => schema.create())
      await context.output.tell({ created: !existed, statement }, () =>
        existed ? 'The table is there already; nothing was changed.' : 'The table was made.',
      )
      return undefined
    }),
}
