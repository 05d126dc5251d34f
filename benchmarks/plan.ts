import { parseArgs } from 'node:util'

/** What can be measured by itself; `core` goes with everything that is compared with it. */
export const groups = [
  'session',
  'async',
  'module',
  'partitions',
  'many',
  'large',
  'workers',
  'peer',
  'cold',
  'postgres',
  'dynamodb',
  'sidecar',
  'hook',
  'start',
  'memory',
] as const
export type Group = (typeof groups)[number]

/** What to measure, and for how long. */
export interface Plan {
  readonly quick: boolean
  readonly groups: ReadonlySet<Group>
  /** Times that everything is measured in turn. */
  readonly rounds: number
  /** Milliseconds that one figure takes in one round. */
  readonly roundMs: number
  /** Processes started for each start-up figure, and for each memory figure. */
  readonly starts: number
  readonly memoryProcesses: number
  /** Where the JSON file goes; undefined: into the build folder. */
  readonly json: string | undefined
  readonly help: boolean
}

export const help = `npm run bench -- [--quick] [--only GROUP]… [--json PATH]

  --quick        half a minute instead of about three minutes; read its figures as rough ones
  --only GROUP   measure this group alone (may be given several times): ${groups.join(', ')}
  --json PATH    write the figures there instead of into build/benchmarks`

/** Throws a TypeError that says what is wrong with the arguments. */
export function readPlan(args: readonly string[]): Plan {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { quick } = values
  return {
    quick,
    groups: new Set(values.only.length === 0 ? groups : values.only.map(group)),
    rounds: quick ? 3 : 9,
    roundMs: quick ? 15 : 40,
    starts: quick ? 5 : 21,
    memoryProcesses: quick ? 1 : 3,
    json: values.json,
    help: values.help,
  }
}

function group(name: string): Group {
  const found = groups.find((known) => known === name)
  if (found === undefined)
    throw new TypeError(`there is no group ${JSON.stringify(name)}; there are ${groups.join(', ')}`)
  return found
}
