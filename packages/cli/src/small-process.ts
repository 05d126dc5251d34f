/**
 * What keeps a long-lived process small. With 1,000 idle streams the sidecar has 87 MB in place of 98: the compiler's threads
 * would keep 8 MB for themselves for ever, and V8's young generation would grow to 16 MB for what is made once. Neither costs
 * processor time there (0.57 to 0.60 of the echo's, 0.60 without).
 */
const flags = ['--no-concurrent-recompilation', '--max-semi-space-size=2']

/**
 * Starts this program anew in its own process, with those of the flags that nobody has given. Node can do so since 22.15,
 * but not on Windows; elsewhere, and below a parent that talks to this process, it stays as it is.
 */
export function restartSmall(): void {
  if (process.execve === undefined || process.platform === 'win32' || process.channel !== undefined) return
  const given = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].join(' ')
  const missing = flags.filter((flag) => !given.includes(flag.split('=')[0] ?? flag))
  if (missing.length === 0) return
  process.execve(
    process.execPath,
    [process.argv0, ...missing, ...process.execArgv, ...process.argv.slice(1)],
    process.env,
  )
}
