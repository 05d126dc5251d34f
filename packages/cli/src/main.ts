#!/usr/bin/env node
import { commandTable } from './command-table.ts'
import { runProgram } from './program.ts'

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    // The second one ends at once whatever is under way.
    if (interrupted.signal.aborted) process.exit(130)
    interrupted.abort()
  })
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read the answers, such as head, has enough.
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
process.exitCode = await runProgram(commandTable, process.argv.slice(2), {
  environment: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupted.signal,
})
