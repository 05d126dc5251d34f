import { fileURLToPath } from 'node:url'
import { constants, createRequire, fs } from '../builtins.ts'
import { AsherahError } from '../errors.ts'
import { interfaceNumber, type NativeBinding } from './binding.ts'

let binding: NativeBinding | undefined

/**
 * The data plane of this thread, loaded at the first call: the addon beside this package, else that of the platform's own
 * package.
 *
 * @throws AsherahError `ERR_NATIVE_ADDON` naming what was tried
 */
export function loadNative(): NativeBinding {
  binding ??= load()
  return binding
}

/** The addon's file for this system: `asherah.<platform>-<arch>[-musl].node`. */
export function addonName(): string {
  return `asherah.${target()}.node`
}

function target(): string {
  return `${process.platform}-${process.arch}${process.platform === 'linux' && usesMusl() ? '-musl' : ''}`
}

/** Whether this Node asks for musl's loader: its name stands among the first bytes of the executable. */
function usesMusl(): boolean {
  const head = Buffer.alloc(4096)
  const file = fs.openSync(process.execPath, 'r')
  try {
    fs.readSync(file, head, 0, head.length, 0)
  } finally {
    fs.closeSync(file)
  }
  return head.includes('/ld-musl-')
}

function load(): NativeBinding {
  const failures: string[] = []
  for (const find of [besidePackage, inPlatformPackage]) {
    try {
      return open(find())
    } catch (error) {
      failures.push(error instanceof Error ? firstLine(error.message) : String(error))
    }
  }
  throw new AsherahError(
    'ERR_NATIVE_ADDON',
    `The native addon for ${target()} could not be loaded. Tried:\n${failures.map((line) => `  ${line}`).join('\n')}\n` +
      'Install without --omit=optional and on the system that runs it (no node_modules from another one); from a ' +
      'repository, run `npm run build`.',
  )
}

/** `native/` stands beside `src/` and `dist/` alike. */
function besidePackage(): string {
  const file = fileURLToPath(new URL(`../../native/${addonName()}`, import.meta.url))
  if (!fs.existsSync(file)) throw new Error(`${file}: no such file`)
  return file
}

function inPlatformPackage(): string {
  return createRequire(import.meta.url).resolve(`@asherah/native-${target()}`)
}

/**
 * Each load gets exports, and so a native state, of its own: two copies of this module in one thread, as test runners make
 * them, do not share a slab of plaintexts.
 */
function open(file: string): NativeBinding {
  const module: { exports: Partial<NativeBinding> } = { exports: {} }
  process.dlopen(module, file, constants.dlopen.RTLD_NOW)
  const { exports } = module
  if (!isComplete(exports)) throw new Error(`${file}: not this version's addon`)
  return exports
}

function isComplete(exports: Partial<NativeBinding>): exports is NativeBinding {
  return exports.interfaceNumber?.() === interfaceNumber && typeof exports.takeCanaryFailures === 'function'
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
