import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { addonName, loadNative } from '../../src/native/load.ts'

const library = join(import.meta.dirname, '..', '..')
const folder = mkdtempSync(join(tmpdir(), 'asherah-load-'))
after(() => rmSync(folder, { recursive: true, force: true }))

/** A copy of the loader with whatever addon the test gives it. */
function copy(name: string, addon?: string | Uint8Array): string {
  const root = join(folder, name)
  mkdirSync(join(root, 'native'), { recursive: true })
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  cpSync(join(library, 'src'), join(root, 'src'), { recursive: true })
  if (typeof addon === 'string') cpSync(addon, join(root, 'native', addonName()))
  else if (addon !== undefined) writeFileSync(join(root, 'native', addonName()), addon)
  return root
}

function load(root: string): { code: string; message: string } | { version: string } {
  const script =
    `import('${join(root, 'src/native/load.ts')}').then(({ loadNative }) => {` +
    ' try { console.log(JSON.stringify({ version: loadNative().version() })) }' +
    ' catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })) } })'
  return JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })) as ReturnType<
    typeof load
  >
}

describe('loadNative', () => {
  it('loads once', () => {
    assert.equal(loadNative(), loadNative())
    assert.match(loadNative().version(), /^\d+\.\d+\.\d+/)
  })

  it('finds the addon beside the package', () => {
    assert.deepEqual(load(copy('beside', join(library, 'native', addonName()))), {
      version: loadNative().version(),
    })
  })

  it('finds the addon of the platform’s package', () => {
    const root = copy('platform')
    const name = addonName().replace(/^asherah\.(.*)\.node$/, '@asherah/native-$1')
    const platformPackage = join(root, 'node_modules', name)
    mkdirSync(platformPackage, { recursive: true })
    cpSync(join(library, 'native', addonName()), join(platformPackage, addonName()))
    writeFileSync(
      join(platformPackage, 'package.json'),
      JSON.stringify({ name, version: '0.1.0', main: addonName() }),
    )
    assert.deepEqual(load(root), { version: loadNative().version() })
  })

  it('names what it tried and what to do', () => {
    const cases: readonly (readonly [string, Uint8Array | undefined, RegExp])[] = [
      ['missing', undefined, /native\/asherah\..*\.node: no such file/],
      ['empty', new Uint8Array(0), /asherah\..*\.node: file too short/],
      [
        'text',
        Buffer.from('this is no shared object, whatever its name says'.repeat(10)),
        /asherah\..*\.node: invalid ELF header/,
      ],
    ]
    for (const [name, addon, tried] of cases) {
      const failure = load(copy(name, addon))
      assert.ok('code' in failure)
      assert.equal(failure.code, 'ERR_NATIVE_ADDON')
      assert.match(failure.message, tried)
      assert.match(failure.message, /Cannot find module '@asherah\/native-/)
      assert.match(failure.message, /npm run build/)
    }
  })

  it('loads in the Node that the user has', () => {
    const node = process.env['ASHERAH_HOST_NODE'] ?? 'node'
    const script = `
      const module_ = { exports: {} }
      process.dlopen(module_, ${JSON.stringify(join(library, 'native', addonName()))})
      const native = module_.exports
      native.memoryPrepare(64, false)
      const ring = native.ringCreate({ capacity: 10, suffix: '', acceptedSuffixes: [] })
      const far = Number.MAX_SAFE_INTEGER
      native.ringPut(ring, '_IK_p_s_d', 1700000000, native.keyGenerate(), far, false, far, far, true)
      const session = native.sessionOpen(ring, '_IK_p_s_d')
      const record = native.encryptString(session, 'hello', 0)
      const place = native.decrypt(session, record, 0)
      const slab = Buffer.from(native.plaintextSlab())
      const start = ((place >> 15) & 0x1fff) << 3
      console.log(slab.subarray(start, start + (place & 0x7fff)).toString(), native.decryptString(session, record, 0))
      native.encryptOnPool(session, Buffer.alloc(200000), 0).then((big) => native.decryptOnPool(session, big, 0))
        .then((bytes) => console.log(bytes.byteLength))`
    const { stdout, status, stderr } = spawnSync(node, ['-e', script], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    assert.equal(stdout, 'hello hello\n200000\n')
  })

  it('gives two copies of the library in one thread memory of their own', () => {
    const load_ = (): ReturnType<typeof loadNative> => {
      const module = { exports: {} }
      process.dlopen(module, join(library, 'native', addonName()))
      return module.exports as ReturnType<typeof loadNative>
    }
    const [one, other] = [load_(), load_()]
    const ring = one.ringCreate({ capacity: 10, suffix: '', acceptedSuffixes: [] })
    const session = one.sessionOpen(ring, '_IK_p_s_d')
    assert.equal(other.sessionClose(session), -7)
    assert.equal(one.sessionClose(session), 0)
    assert.equal(other.ringClose(ring), 0)
  })
})
