// One group of timed cases in a process of its own, so that no group's heap or compiled code weighs on another's. Started
// with the group's name and the milliseconds of a round; each message asks for a round and is answered with its figures.
import type { Measurand } from '../figure.ts'
import { caseGroup } from '../session-cases.ts'
import { Stopwatch, wakeProcessor } from '../timed-case.ts'

const [name = '', roundMs] = process.argv.slice(2)
const { cases, close } = caseGroup(name)
const stopwatch = new Stopwatch(Number(roundMs))

async function round(): Promise<readonly (readonly [Measurand, number])[]> {
  const figures: [Measurand, number][] = []
  wakeProcessor()
  for (const timed of cases) {
    const { group, unit, also } = timed
    const value = await stopwatch.round(timed)
    for (const { name, comparison } of also === undefined ? [timed] : [timed, also]) {
      figures.push([{ name, group, unit, ...(comparison && { comparison }) }, value])
    }
  }
  return figures
}

process.on('message', () => {
  round().then(
    (figures) => process.send?.(figures),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
process.on('disconnect', close)
process.send?.('ready')
