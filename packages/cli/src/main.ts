#!/usr/bin/env node
import { restartSmall } from './small-process.ts'

// Before anything else is loaded, which would have to be loaded twice.
if (process.argv[2] === 'serve') restartSmall()
const [{ commandTable }, { runProgram }] = await Promise.all([
  import('./command-table.ts'),
  import('./program.ts'),
])

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second one ends at once whatever is under way.
    if (interrupted.signal.aborted) process.exit(130)
    interrupted.abort()
  })
}
// Each write of an answer hears of its own error; and a log or a remark that nobody reads any more ends nothing.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
process.exitCode = await runProgram(commandTable, process.argv.slice(2), {
  environment: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupted.signal,
})
