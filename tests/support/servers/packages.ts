import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, runTool } from './tool.ts'

const root = join(import.meta.dirname, '..', '..', '..')

/** Where packages of other languages are kept between runs: git does not track it. */
const cache = join(root, 'build', 'test-tools')

const downloadTimeoutMs = 15 * 60_000

let lastMaven: Promise<unknown> = Promise.resolve()

/** Downloads what a `pom.xml` names, with what that needs, and returns the folder of jars. */
export function mavenPackages(pom: string): Promise<string> {
  return provide('maven', [pom], async (folder) => {
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`]
    const copy = (): Promise<string> =>
      runTool(findProgram('mvn'), ['-q', '-B', '-f', pom, ...goal], {
        timeoutMs: downloadTimeoutMs,
        cwd: root,
      })
    // Maven 3 does not lock its repository: one at a time, whatever became of the one before.
    const turn = lastMaven.then(copy, copy)
    lastMaven = turn
    await turn
    // Maven answers from its own files and may succeed without copying anything into a folder that it knows.
    if (!readdirSync(folder).some((file) => file.endsWith('.jar')))
      throw new Error(`${pom}: no jar was copied`)
  })
}

/** Compiles Java sources against the jars of `classPath` and returns the folder of classes. */
export function javaClasses(sources: readonly string[], classPath: string): Promise<string> {
  return provide('java', sources, async (folder) => {
    await runTool(findProgram('javac'), [
      '-Xlint:all,-path',
      '-Werror',
      '-proc:none',
      '-d',
      folder,
      '-cp',
      join(classPath, '*'),
      ...sources,
    ])
  })
}

/** Makes a virtual environment with what a `requirements.txt` names, and returns its Python. */
export async function pythonPackages(requirements: string): Promise<string> {
  const folder = await provide('python', [requirements], async (own) => {
    await runTool(findProgram('python3'), ['-m', 'venv', own])
    await runTool(join(own, 'bin', 'python'), ['-m', 'pip', 'install', '-q', '-r', requirements], {
      timeoutMs: downloadTimeoutMs,
    })
  })
  return join(folder, 'bin', 'python')
}

const underWay = new Map<string, Promise<string>>()

/** A folder that `make` fills once for one content of the sources. A run that was interrupted is begun again. */
export function provide(
  kind: string,
  sources: readonly string[],
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256')
  for (const source of sources) hash.update(source).update(readFileSync(source))
  const folder = join(cache, `${kind}-${hash.digest('hex').slice(0, 16)}`)
  const present = underWay.get(folder) ?? fill(folder, make)
  underWay.set(folder, present)
  return present
}

async function fill(folder: string, make: (folder: string) => Promise<void>): Promise<string> {
  const stamp = join(folder, '.complete')
  if (existsSync(stamp)) return folder
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await make(folder)
  writeFileSync(stamp, '')
  return folder
}
