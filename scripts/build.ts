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
import { build, type Plugin } from 'esbuild'
import { hostNode, root, run } from './command.ts'
import { commandStep, failure, type Step, type StepResult, success } from './steps.ts'

/** A workspace of this repository that npm would publish. */
interface PublishedPackage {
  readonly name: string
  readonly folder: string
  /** Sources that are started, not imported, and so are named nowhere in `package.json`. */
  readonly programs: readonly string[]
  /** The source that most users import: with all that it needs it becomes two files. */
  readonly core?: string
  /** What goes into the tarball beside `package.json` and `dist`, from the package's folder. */
  readonly files: readonly string[]
}

/** In the order in which each may import what stands before it. */
const packages: readonly PublishedPackage[] = [
  {
    name: 'asherah',
    folder: 'asherah',
    programs: ['engine/bridge-worker.ts'],
    core: 'index.ts',
    files: ['native'],
  },
  { name: 'asherah-server', folder: 'server', programs: ['worker-process.ts'], files: ['proto'] },
  { name: 'asherah-cli', folder: 'cli', programs: [], files: [] },
]

const output = join(root, 'build')

/** The Rust addon, as the host's machine needs it. */
export const nativeBuild: Step = commandStep('native addon', process.execPath, [
  join(root, 'scripts', 'build-native.ts'),
])

/** The packages' JavaScript and their declarations. Unchanged sources are not compiled again. */
export const libraryBuild: Step = { name: 'tsc: build the packages', action: buildPackages }

/** The tarballs that npm would publish, at {@link tarballs}. */
export const packageBuild: Step = { name: 'npm pack', action: packPackages }

async function buildPackages(): Promise<StepResult> {
  const printed: string[] = []
  for (const one of packages) {
    const result = await buildPackage(one)
    if (result.failed > 0) return result
    printed.push(result.output)
  }
  return success(printed.join(''))
}

async function buildPackage(one: PublishedPackage): Promise<StepResult> {
  const sources = fingerprint(one)
  const stamp = join(output, `${one.name}.sources`)
  const folder = join(root, 'packages', one.folder)
  const dist = join(folder, 'dist')
  if (existsSync(dist) && existsSync(stamp) && readFileSync(stamp, 'utf8') === sources) return success()
  rmSync(dist, { recursive: true, force: true })
  rmSync(stamp, { force: true })
  const compiler = join(root, 'node_modules', '.bin', 'tsc')
  const result = await run(compiler, ['--project', join(folder, 'tsconfig.json'), '--pretty', 'false'])
  if (result.code !== 0) return failure(result.output)
  await bundle(one, folder, dist)
  mkdirSync(output, { recursive: true })
  writeFileSync(stamp, sources)
  return success(result.output)
}

/**
 * One file for each entry of the package and what they share, in place of some sixty: each file of ES modules costs a third
 * of a millisecond at start. Declarations stay as tsc wrote them.
 */
async function bundle(one: PublishedPackage, folder: string, dist: string): Promise<void> {
  const { exports, bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    readonly exports: Readonly<Record<string, string | { readonly default: string }>>
    readonly bin?: Readonly<Record<string, string>>
  }
  const entries = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [] : [entry.default],
  )
  const sources = [...entries, ...Object.values(bin ?? {})].map((file) =>
    file.replace('./dist/', '').replace(/\.js$/, '.ts'),
  )
  const entryPoints = [...sources, ...one.programs].map((file) => join(folder, 'src', file))
  await build({
    entryPoints,
    ...(one.core !== undefined && {
      plugins: [importedByAll(join(folder, 'src', one.core), entryPoints)],
      // The package says that its files have no side effects, which would leave those imports out.
      ignoreAnnotations: true,
    }),
    outbase: join(folder, 'src'),
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
    // Node shows the line that threw of whatever nobody catches: not all of a file.
    lineLimit: 160,
    packages: 'external',
    sourcemap: 'linked',
    logLevel: 'error',
  })
}

/**
 * Has every entry import the core. The bundler makes a file for each set of entries that need the same sources: what the core
 * needs, all of them need then, so that it stays together.
 */
function importedByAll(core: string, entryPoints: readonly string[]): Plugin {
  return {
    name: 'imported by all',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (path === core || !entryPoints.includes(path)) return undefined
        return { contents: `${readFileSync(path, 'utf8')}\nimport ${JSON.stringify(core)}\n`, loader: 'ts' }
      })
    },
  }
}

/** Of this package's sources, of the packages that it may import, and of how they are built. */
function fingerprint(one: PublishedPackage): string {
  const hash = createHash('sha256')
  const folders = packages.slice(0, packages.indexOf(one) + 1).map(({ folder }) => folder)
  const files = folders.flatMap((folder) =>
    globSync([`packages/${folder}/src/**/*.ts`, `packages/${folder}/{tsconfig,package}.json`], { cwd: root }),
  )
  for (const file of ['package-lock.json', 'tsconfig.base.json', 'scripts/build.ts', ...files.toSorted()]) {
    const content = readFileSync(join(root, file))
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}

/** The packed packages of the last {@link packageBuild}. */
export function tarballs(): readonly string[] {
  const files = existsSync(output) ? readdirSync(output).filter((file) => /^asherah-.*\.tgz$/.test(file)) : []
  if (files.length < packages.length) throw new Error('no packed packages in build/: run `npm run build`')
  return files.map((file) => join(output, file))
}

async function packPackages(): Promise<StepResult> {
  mkdirSync(output, { recursive: true })
  for (const file of readdirSync(output)) if (file.endsWith('.tgz')) rmSync(join(output, file))
  const printed: string[] = []
  for (const { name, folder, files } of packages) {
    const staging = join(output, 'package', name)
    rmSync(staging, { recursive: true, force: true })
    mkdirSync(staging, { recursive: true })
    for (const entry of ['package.json', 'dist', ...files]) {
      cpSync(join(root, 'packages', folder, entry), join(staging, entry), { recursive: true })
    }
    for (const entry of ['README.md', 'LICENSE', 'CHANGELOG.md', 'docs']) {
      cpSync(join(root, entry), join(staging, entry), { recursive: true })
    }
    const result = await npm(['pack', staging, '--pack-destination', output, '--loglevel=error'], root)
    if (result.code !== 0) return failure(result.output)
    printed.push(result.output)
  }
  return success(printed.join(''))
}

/** Runs the host's npm on the host's Node. */
export function npm(args: readonly string[], cwd: string): ReturnType<typeof run> {
  const cli = process.env['npm_execpath']
  return cli?.endsWith('.js') === true ? run(hostNode, [cli, ...args], { cwd }) : run('npm', args, { cwd })
}
