import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { hostNode, root, run } from './command.ts'
import { commandStep, failure, type Step, type StepResult, success } from './steps.ts'

const library = join(root, 'packages', 'asherah')
const output = join(root, 'build')
const stamp = join(output, 'asherah.sources')

/** The Rust addon, as the host's machine needs it. */
export const nativeBuild: Step = commandStep('native addon', process.execPath, [
  join(root, 'scripts', 'build-native.ts'),
])

/** The library's JavaScript and its declarations. Unchanged sources are not compiled again. */
export const libraryBuild: Step = { name: 'tsc: build asherah', action: buildLibrary }

/** The tarball that npm would publish, at {@link tarball}. */
export const packageBuild: Step = { name: 'npm pack', action: packLibrary }

async function buildLibrary(): Promise<StepResult> {
  const sources = fingerprint()
  const dist = join(library, 'dist')
  if (existsSync(dist) && existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return success()
  rmSync(dist, { recursive: true, force: true })
  rmSync(stamp, { force: true })
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  const result = await run(compiler, ['--project', join(library, 'tsconfig.json'), '--pretty', 'false'])
  if (result.code !== 0) return failure(result.output)
  await bundleLibrary(dist)
  mkdirSync(output, { recursive: true })
  writeFileSync(stamp, sources)
  return success(result.output)
}

/**
 * One file for each entry of the package and what they share, in place of some sixty: each file of ES modules costs a third
 * of a millisecond at start. Declarations stay as tsc wrote them.
 */
async function bundleLibrary(dist: string): Promise<void> {
  const { exports } = JSON.parse(readFileSync(join(library, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { readonly default: string }>
  }
  const entries = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [entry.default],
  )
  await build({
    entryPoints: [...entries, './dist/engine/bridge-worker.js'].map((file) =>
      join(library, file.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
    ),
    outbase: join(library, 'src'),
    outdir: dist,
    // One folder deep, like the sources that look for the addon and the bridge beside themselves.
    chunkNames: 'shared/[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    // Half the bytes to read and parse at start: 5 ms. Names stay, and the maps lead to the sources.
    minifyWhitespace: true,
    minifySyntax: true,
    packages: 'external',
    sourcemap: 'linked',
    logLevel: 'error',
  })
}

function fingerprint(): string {
  const hash = createHash('sha256')
  const files = globSync(
    [
      'packages/asherah/src/**/*.ts',
      '{tsconfig.base,packages/asherah/tsconfig,packages/asherah/package}.json',
    ],
    {
      cwd: root,
    },
  )
  for (const file of ['package-lock.json', ...files.toSorted()]) {
    const content = readFileSync(join(root, file))
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

/** The packed library of the last {@link packageBuild}. */
export function tarball(): string {
  const files = existsSync(output) ? readdirSync(output).filter((file) => /^asherah-.*\.tgz$/.test(file)) : []
  const [file] = files
  if (file === undefined) throw new Error('no packed library in build/: run `npm run build`')
  return join(output, file)
}

async function packLibrary(): Promise<StepResult> {
  const staging = join(output, 'package')
  rmSync(staging, { recursive: true, force: true })
  mkdirSync(staging, { recursive: true })
  for (const file of readdirSync(output)) if (file.endsWith('.tgz')) rmSync(join(output, file))
  for (const entry of ['package.json', 'dist', 'native']) {
    cpSync(join(library, entry), join(staging, entry), { recursive: true })
  }
  for (const entry of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs']) {
    cpSync(join(root, entry), join(staging, entry), { recursive: true })
  }
  const result = await npm(['pack', staging, '--pack-destination', output, '--loglevel=error'], root)
  return result.code === 0 ? success(result.output) : failure(result.output)
}

/** Runs the host's npm on the host's Node. */
export function npm(args: readonly string[], cwd: string): ReturnType<typeof run> {
  const cli = process.env['npm_execpath']
  return cli?.endsWith('.js') === true ? run(hostNode, [cli, ...args], { cwd }) : run('npm', args, { cwd })
}
