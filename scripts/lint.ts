import { join } from 'node:path'
import { root } from './command.ts'
import { commandStep, type Step } from './steps.ts'

const bin = (name: string): string => join(root, 'node_modules', '.bin', name)
const workspaceCargo = ['--workspace', '--all-targets', '--locked', '--quiet'] as const

/** TypeScript and everything that biome reads. */
export const scriptLint: readonly Step[] = [
  commandStep('tsc: all sources', bin('tsc'), [
    ...['--project', 'tsconfig.json', '--pretty', 'false'],
    // Only what has changed, and what depends on it: a few seconds in place of a quarter of a minute.
    ...['--incremental', '--tsBuildInfoFile', join(root, 'build', 'all.tsbuildinfo')],
  ]),
  commandStep('biome', bin('biome'), ['check', '--error-on-warnings', '--max-diagnostics=200', '.']),
]

/** The Rust workspace. */
export const rustLint: readonly Step[] = [
  commandStep('cargo fmt', 'cargo', ['fmt', '--all', '--check']),
  commandStep('cargo clippy', 'cargo', ['clippy', ...workspaceCargo, '--', '-D', 'warnings']),
  commandStep('cargo doc', 'cargo', ['doc', '--workspace', '--no-deps', '--locked', '--quiet'], {
    env: { ...process.env, RUSTDOCFLAGS: '-D warnings' },
  }),
]

/** Rewrites what the formatters can put right. */
export const format: readonly Step[] = [
  commandStep('biome --write', bin('biome'), ['check', '--write', '--error-on-warnings', '.']),
  commandStep('cargo fmt', 'cargo', ['fmt', '--all']),
]
