import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const folder = mkdtempSync(join(tmpdir(), 'asherah-docs-'))
after(() => rmSync(folder, { recursive: true }))

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

describe('docs/errors.md', () => {
  const codes = [...read('packages/asherah/src/errors.ts').matchAll(/^ {2}\| '(ERR_[A-Z0-9_]+)'/gm)].map(
    ([, code]) => code,
  )
  const documented = [...read('docs/errors.md').matchAll(/^\| `(ERR_[A-Z0-9_]+)` \|/gm)].map(
    ([, code]) => code,
  )

  test('has each code once, and no other', () => {
    assert.ok(codes.length > 20)
    assert.deepEqual(documented.toSorted(), codes.toSorted())
  })
})

describe('docs/threat-model.md', () => {
  test('names a test for each promise, and none that is not there', () => {
    const text = read('docs/threat-model.md')
    const promises = /## Promises[\s\S]*?\n\n(?:\|.*\n)+/
      .exec(text)?.[0]
      .split('\n')
      .filter((line) => line.startsWith('| '))
    assert.ok(promises !== undefined && promises.length > 10)
    for (const promise of promises.slice(1)) assert.match(promise, /`[\w./-]+\.(?:test\.ts|rs)`/)
    for (const [, file = ''] of text.matchAll(/`([\w./-]+\.(?:test\.ts|rs))`/g))
      assert.ok(read(file).includes('test'), file)
  })
})

describe('the examples of', () => {
  /** Runs the code as a module of its own, after what it takes for granted, and answers with what it prints. */
  function run(name: string, before: string, code: string, last: string): string {
    const index = JSON.stringify(new URL('../packages/asherah/src/index.ts', import.meta.url).href)
    const body = code.replace(/^import .* from 'asherah'$/gm, '')
    const file = join(folder, `${name}.mts`)
    writeFileSync(file, `import * as asherah from ${index}\n${before}\n${body}\nconsole.log(${last})\n`)
    const child = spawnSync(process.execPath, [file], { cwd: folder, encoding: 'utf8', timeout: 30_000 })
    assert.equal(child.status, 0, child.stderr)
    return child.stdout.trim()
  }

  test('the README works as it stands', () => {
    const [, code = ''] = /```ts\n([\s\S]*?)```/.exec(read('README.md')) ?? []
    assert.ok(code.includes('SessionFactory'))
    const before = "const { SessionFactory } = asherah; const masterKeyHex = '5c'.repeat(32)"
    assert.equal(run('readme', before, code, 'session.decryptString(record)'), '4111 1111 1111 1111')
  })

  const sources: [file: string, before: string, last: string, prints: string][] = [
    [
      'packages/asherah/src/session-factory.ts',
      "const { SessionFactory } = asherah; process.env.MASTER_KEY = '5c'.repeat(32)",
      'session.decryptString(record)',
      'secret',
    ],
    [
      'packages/asherah/src/session.ts',
      "const factory = new asherah.SessionFactory({ serviceName: 'a', productId: 'b', metastore: 'memory', kms: 'static' })",
      'session.decryptString(record)',
      '4111 1111 1111 1111',
    ],
    [
      'packages/asherah/src/module-api.ts',
      'const { setup, shutdown, encryptString, decryptString } = asherah',
      'record.length > 100',
      'true',
    ],
    [
      'packages/asherah/src/metastore/metastore.ts',
      'type Metastore = asherah.Metastore; type EnvelopeKeyRecord = asherah.EnvelopeKeyRecord',
      "((s) => s.decryptString(s.encryptString('kept')))(new asherah.SessionFactory({ serviceName: 'a', productId: 'b', metastore, " +
        "kms: 'static', staticMasterKeyHex: '5c'.repeat(32) }).getSession('p'))",
      'kept',
    ],
    [
      'packages/asherah/src/clock.ts',
      "type Clock = asherah.Clock; const { SessionFactory } = asherah; const config = { serviceName: 'a', productId: 'b', metastore: 'memory', kms: 'static' }",
      "factory.getSession('p').encryptString('x').includes('\"Created\":' + Math.floor(ms / 1000))",
      'true',
    ],
  ]
  for (const [file, before, last, prints] of sources) {
    test(`${file} works as it stands`, () => {
      const [, block = ''] = /\* @example\n \* ```ts\n([\s\S]*?) \* ```/.exec(read(file)) ?? []
      const code = block.replaceAll(/^ \* ?/gm, '')
      assert.ok(code.length > 50)
      assert.equal(run(file.replaceAll(/\W/g, '-'), before, code, last), prints)
    })
  }
})
