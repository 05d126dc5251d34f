import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { type LogEvent, setLogHook } from '../../src/index.ts'
import { World } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-hooks-'))
after(() => rmSync(folder, { recursive: true }))

const index = new URL('../../src/index.ts', import.meta.url).href

for (const [what, hook] of [
  ['an asynchronous hook that rejects', "async () => { throw new Error('from the hook') }"],
  ['a hook that throws what has no text', '() => { throw Object.create(null) }'],
  ['a hook that throws undefined', '() => { throw undefined }'],
] as const) {
  test(`${what} does not end the process, and is told once`, () => {
    const file = join(folder, `${what.replaceAll(' ', '-')}.mts`)
    writeFileSync(
      file,
      `import { setLogHook, setMetricsHook, setup, encryptString } from ${JSON.stringify(index)}
       setLogHook(${hook})
       setMetricsHook(${hook})
       setup({ serviceName: 'api', productId: 'catalog', metastore: 'memory', kms: 'static' })
       encryptString('p', 'x')
       await new Promise((resolve) => setTimeout(resolve, 50))
       process.stdout.write('alive')`,
    )
    const child = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 })
    assert.equal(child.stdout, 'alive', child.stderr)
    assert.equal(child.status, 0)
    assert.equal(child.stderr.match(/hook threw/g)?.length, 2, child.stderr)
  })
}

test('no warning names a partition, not even one about its damaged row', async () => {
  const path = join(folder, 'damaged.db')
  const world = new World()
  const events: LogEvent[] = []
  setLogHook((event) => events.push(event))
  using factory = world.factory({ metastore: 'sqlite', connectionString: path, kms: world.kms })
  const session = factory.getSession('alice@example.org')
  const record = session.encryptString('x')
  using database = new DatabaseSync(path)
  database.exec("UPDATE encryption_key SET key_record = '{' WHERE id LIKE '\\_IK%' ESCAPE '\\'")
  world.advance(3 * 3_600_000)
  assert.equal(session.decryptString(record), 'x')
  assert.ok(session.encryptString('y'))
  await new Promise((resolve) => setImmediate(resolve))
  setLogHook(null)
  const warnings = events.filter((event) => event.level === 'warn')
  assert.ok(
    warnings.some((event) => event.message.includes('ERR_METASTORE_ROW_MALFORMED')),
    JSON.stringify(events),
  )
  assert.ok(!JSON.stringify(events).includes('alice'), JSON.stringify(events))
})
