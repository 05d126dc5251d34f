// The main job: `npm start -- --help` tells how it is used.
import { AsherahError } from 'asherah'
import { help, readArguments } from './src/arguments.ts'
import { checkDatabase, fillDatabase } from './src/job.ts'
import { JobError } from './src/job-error.ts'
import { Terminal, visible } from './src/terminal.ts'

const terminal = new Terminal(process.stdout, process.env)
const stopping = new AbortController()
// The second signal ends the process as it would any other.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort())
// `npm start | head` is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

process.exitCode = await run(process.argv.slice(2))

async function run(args: readonly string[]): Promise<number> {
  try {
    const wanted = readArguments(args)
    if (wanted.help) terminal.line(help)
    else if (wanted.verifyOnly) await checkDatabase(wanted, terminal, stopping.signal)
    else await fillDatabase(wanted, terminal, stopping.signal)
    return 0
  } catch (error) {
    if (!(error instanceof JobError || error instanceof AsherahError)) throw error
    terminal.clear()
    console.error(visible(error instanceof JobError ? error.message : `${error.code} ${error.message}`))
    return error instanceof JobError ? error.exitCode : 1
  }
}
