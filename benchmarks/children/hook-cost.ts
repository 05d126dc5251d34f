// What the metrics hook costs: the library's own session over its own factory, with and without the look whether a hook is
// set. It runs from the sources, since it replaces that look; prints JSON, `[{name, rounds}]`, in nanoseconds.
import { randomBytes } from 'node:crypto'
import { resolveConfig } from '../../packages/asherah/src/config/config.ts'
import { FactoryCore } from '../../packages/asherah/src/factory-core.ts'
import { setMetricsHook } from '../../packages/asherah/src/module-api.ts'
import { AsherahSession } from '../../packages/asherah/src/session.ts'
import { configuration } from '../configuration.ts'
import { repeatedly, Stopwatch, type TimedCase } from '../timed-case.ts'

/** The factory as it would be if there were no metrics hook. */
class Unmetered extends FactoryCore {
  override get observed(): boolean {
    return this.config.clock !== undefined || this.closed
  }
}

const rounds = Number(process.argv[2])
const data = randomBytes(64)
const stopwatch = new Stopwatch(5)

function timed(name: string, host: FactoryCore): TimedCase {
  const session = new AsherahSession(host, 'tenant-42')
  return { name, group: 'hook', unit: 'ns', run: repeatedly(() => session.encrypt(data)) }
}

async function alternate(cases: readonly TimedCase[]): Promise<{ name: string; rounds: number[] }[]> {
  const figures = cases.map((each) => ({ name: each.name, timed: each, rounds: [] as number[] }))
  for (let round = 0; round < rounds; round++) {
    // The order changes, so that neither always follows the other.
    for (const figure of round % 2 === 0 ? figures : figures.toReversed()) {
      figure.rounds.push(await stopwatch.round(figure.timed))
    }
  }
  return figures.map((figure) => ({ name: figure.name, rounds: figure.rounds }))
}

const bare = new Unmetered(resolveConfig(configuration(), {}))
const metered = new FactoryCore(resolveConfig(configuration(), {}))
const neverSet = await alternate([timed('no hook in the library', bare), timed('hook never set', metered)])

let events = 0
setMetricsHook(() => {
  events += 1
})
const set = await alternate([{ ...timed('hook set', metered), calls: 5_000, run: withDelivery(metered) }])
if (events === 0) throw new Error('the metrics hook was not called')
setMetricsHook(null)
const after = [timed('no hook in the library, again', bare), timed('hook set and removed', metered)]
console.log(JSON.stringify([...neverSet, ...set, ...(await alternate(after))]))

/** Turns of the event loop between the calls, so that events are delivered and not dropped. */
function withDelivery(host: FactoryCore): (calls: number) => Promise<void> {
  const session = new AsherahSession(host, 'tenant-42')
  return async (calls) => {
    for (let index = 1; index <= calls; index++) {
      session.encrypt(data)
      if (index % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
