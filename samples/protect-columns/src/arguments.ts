import { basename, extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { JobError } from './job-error.ts'

/** What the command line asks for. */
export interface Arguments {
  readonly help: boolean
  readonly verifyOnly: boolean
  /** The bird strikes unless one is given. */
  readonly file: string
  /** With `--verify-only --database` alone: the database tells what its source was. */
  readonly fileFromDatabase: boolean
  readonly database: string
  readonly ownerColumn: string | undefined
  /** As typed: names separated by commas, each group one use of the option. */
  readonly columns: readonly string[] | undefined
}

/** Reported wildlife strikes of the FAA, public domain, 10,000 rows. Data is no export of the package, but its index is. */
const birdStrikes = relative(
  '.',
  fileURLToPath(new URL('../data/birdstrikes.csv', import.meta.resolve('vega-datasets'))),
)
/** The airline owns a row; where it happened, to what, and what it cost is its own affair. */
const birdStrikesOwner = 'Aircraft Airline Operator'
const birdStrikesColumns = [
  'Airport Name',
  'Aircraft Make Model',
  'Effect Amount of damage',
  'Cost Other',
  'Cost Repair',
  'Cost Total $',
]

/** Where databases go unless `--database` says otherwise; ignored by git. */
export const demoFolder = '.asherah-demo'

export const help = `Seals the sensitive columns of a file into SQLite, one partition per owner, and reads everything back.

usage: npm start -- [FILE] [options]

  FILE                      CSV (comma, semicolon or tab; first line is the header) or JSON Lines, in UTF-8;
                            without it, 10,000 bird strikes from the npm package vega-datasets
  --partition-column NAME   whose value owns a row; each owner has keys of its own
  --columns A,B,C           what is sealed; without it, everything but the owner
  --database PATH           SQLite file to write; without it, ${demoFolder}/NAME.db
  --verify-only             write nothing; check a database of an earlier run against its source
  --help                    this text

exit code: 0 done, 1 the database differs from its source, 2 something to put right, 130 stopped`

/** @throws JobError `ERR_ARGUMENT` */
export function readArguments(args: readonly string[]): Arguments {
  const { values, positionals } = parse(args)
  const [file, ...more] = positionals
  if (more.length > 0) {
    throw new JobError(
      'ERR_ARGUMENT',
      `One FILE at a time, not ${positionals.length}. Try: npm start -- ${JSON.stringify(file)}`,
    )
  }
  for (const [option, value] of Object.entries(values)) {
    if ([value].flat().includes(''))
      throw new JobError('ERR_ARGUMENT', `--${option} is empty. Try: npm start -- --help`)
  }
  if (file === '') throw new JobError('ERR_ARGUMENT', 'FILE is empty. Try: npm start -- --help')
  const path = file ?? birdStrikes
  const verifyOnly = values['verify-only'] === true
  const { database, columns, 'partition-column': ownerColumn } = values
  const defaults = file === undefined && ownerColumn === undefined && columns === undefined
  return {
    help: values.help === true,
    verifyOnly,
    file: path,
    fileFromDatabase: verifyOnly && file === undefined && database !== undefined,
    database: database ?? join(demoFolder, `${basename(path, extname(path))}.db`),
    ownerColumn: ownerColumn ?? (file === undefined ? birdStrikesOwner : undefined),
    columns: columns ?? (defaults ? birdStrikesColumns : undefined),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        'verify-only': { type: 'boolean' },
        'partition-column': { type: 'string' },
        columns: { type: 'string', multiple: true },
        database: { type: 'string' },
      },
    })
  } catch (error) {
    const [reason = ''] = error instanceof Error ? error.message.split('. ') : []
    throw new JobError('ERR_ARGUMENT', `${reason}. Try: npm start -- --help`, { cause: error })
  }
}
