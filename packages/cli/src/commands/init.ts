import { AsherahError } from 'asherah'
import { createTable, metastoreSchema, openMetastoreAndAdmin } from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { HintedError } from '../command-error.ts'
import { isFileMissing, withMetastore } from '../opened.ts'

/** Prints, or runs, the statement that makes the metastore's table. */
export const initCommand: CommandSpec = {
  configured: true,
  destructive: true,
  run: async (context) => {
    if (isFileMissing(context.configuration().config)) return makeFile(context)
    return withMetastore(context, async ({ config, metastore }) => {
      const { statement, exists, create } = await metastoreSchema(config, metastore)
      if (statement === undefined) {
        await context.output.tell({ needed: false }, () => 'This metastore needs no table.')
        return undefined
      }
      if (!context.confirmed) return tellDryRun(context, statement)
      const existed = await hinted(exists)
      if (!existed) await context.act({ init: statement }, () => hinted(create))
      return tellDone(context, statement, existed)
    })
  },
}

/** What keeps an account from making a table is most often that it may not, and rightly: applications need no such right. */
async function hinted<T>(asked: () => Promise<T>): Promise<T> {
  try {
    return await asked()
  } catch (error) {
    if (!(error instanceof AsherahError)) throw error
    throw new HintedError(error, 'have an account that may make tables run what is printed by: asherah init')
  }
}

/** An SQLite file gets its table when it is opened. */
async function makeFile(context: CommandContext): Promise<undefined> {
  const statement = createTable('sqlite')
  if (!context.confirmed) return tellDryRun(context, statement)
  await context.act({ init: statement }, async () => {
    const { admin } = await openMetastoreAndAdmin(context.configuration())
    await admin.close()
  })
  return tellDone(context, statement, false)
}

async function tellDryRun({ output }: CommandContext, statement: string): Promise<undefined> {
  await output.tell({ dryRun: true, statement }, () => `${statement};`)
}

async function tellDone({ output }: CommandContext, statement: string, existed: boolean): Promise<undefined> {
  await output.tell({ created: !existed, statement }, () =>
    existed ? 'The table is there already; nothing was changed.' : 'The table was made.',
  )
}
