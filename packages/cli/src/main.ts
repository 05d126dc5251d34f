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
