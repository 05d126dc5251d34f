import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { afterEach, describe, test } from 'node:test'
import * as asherah from '../src/index.ts'
import { codeOf } from './support/world.ts'

const config = { serviceName: 'api', productId: 'catalog', metastore: 'memory', kms: 'static' } as const

afterEach(() => asherah.shutdown())

describe('the module API', () => {
  test('sets up, encrypts, decrypts, shuts down', async () => {
    assert.equal(asherah.getSetupStatus(), false)
    asherah.setup(config)
    assert.equal(asherah.getSetupStatus(), true)
    const record = asherah.encrypt('p', Buffer.from('hello'))
    assert.equal(asherah.decrypt('p', record).toString(), 'hello')
    assert.equal(asherah.decryptString('p', Buffer.from(record)), 'hello')
    assert.equal(asherah.decryptString('p', asherah.encryptString('p', 'grüße')), 'grüße')
    assert.equal(await asherah.decryptStringAsync('p', await asherah.encryptStringAsync('p', 'x')), 'x')
    assert.deepEqual(
      await asherah.decryptAsync('p', await asherah.encryptAsync('p', Buffer.from('y'))),
      Buffer.from('y'),
    )
    asherah.shutdown()
    asherah.shutdown()
    assert.equal(asherah.getSetupStatus(), false)
  })

  test('is refused before set-up, and a second set-up too', async () => {
    assert.equal(await codeOf(() => asherah.encryptString('p', 'x')), 'ERR_NOT_CONFIGURED')
    assert.equal(await codeOf(() => asherah.decryptAsync('p', '{}')), 'ERR_NOT_CONFIGURED')
    const starting = asherah.setupAsync(config)
    assert.equal(await codeOf(() => asherah.setup(config)), 'ERR_ALREADY_CONFIGURED')
    await starting
    assert.equal(await codeOf(() => asherah.setupAsync(config)), 'ERR_ALREADY_CONFIGURED')
    await asherah.shutdownAsync()
    await asherah.shutdownAsync()
  })

  test('can be set up again after a failed set-up', async () => {
    assert.equal(await codeOf(() => asherah.setup({ ...config, serviceName: '' })), 'ERR_CONFIG_INVALID')
    assert.equal(
      await codeOf(() =>
        asherah.setupAsync({
          ...config,
          metastore: 'file:///nowhere/store.mjs',
          staticMasterKeyHex: '00'.repeat(32),
        }),
      ),
      'ERR_CONFIG_INVALID',
    )
    asherah.setup(config)
    assert.equal(asherah.getSetupStatus(), true)
  })

  test('keeps at most sessionCacheMaxSize sessions, and none without caching', () => {
    for (const more of [
      { sessionCacheMaxSize: 3 },
      { enableSessionCaching: false },
      { sessionCacheDuration: 1 },
    ]) {
      asherah.setup({ ...config, ...more })
      const records = Array.from({ length: 10 }, (_, index) => asherah.encryptString(`p${index}`, `${index}`))
      for (let round = 0; round < 2; round++) {
        records.forEach((record, index) => {
          assert.equal(asherah.decryptString(`p${index}`, record), `${index}`)
        })
      }
      asherah.shutdown()
    }
  })

  test('takes the configuration of other implementations, nulls included', () => {
    asherah.setup({
      ServiceName: 'api',
      ProductID: 'catalog',
      Metastore: 'test-debug-memory',
      KMS: 'test-debug-static',
      ConnectionString: null,
      RegionMap: null,
      EnableSessionCaching: true,
      Verbose: false,
      DisableZeroCopy: true,
    })
    assert.equal(asherah.decryptString('p', asherah.encryptString('p', 'x')), 'x')
  })

  test('argument mistakes are told as by a session', async () => {
    asherah.setup(config)
    assert.equal(await codeOf(() => asherah.encrypt(null as never, Buffer.from('x'))), 'ERR_INVALID_ARG_TYPE')
    assert.equal(await codeOf(() => asherah.encrypt('', Buffer.from('x'))), 'ERR_PARTITION_INVALID')
    assert.equal(await codeOf(() => asherah.encrypt('p', 'text' as never)), 'ERR_INVALID_ARG_TYPE')
    assert.equal(await codeOf(() => asherah.decryptString('p', undefined as never)), 'ERR_INVALID_ARG_TYPE')
  })

  test('has every name that the npm package asherah had', () => {
    const names = [
      'setup',
      'setupAsync',
      'shutdown',
      'shutdownAsync',
      'getSetupStatus',
      'setenv',
      'encrypt',
      'encryptAsync',
      'decrypt',
      'decryptAsync',
      'encryptString',
      'encryptStringAsync',
      'decryptString',
      'decryptStringAsync',
      'clearPlaintext',
      'setLogHook',
      'setMetricsHook',
      'setMaxStackAllocItemSize',
      'setSafetyPaddingOverhead',
      'setup_async',
      'shutdown_async',
      'get_setup_status',
      'encrypt_async',
      'encrypt_string',
      'encrypt_string_async',
      'decrypt_async',
      'decrypt_string',
      'decrypt_string_async',
      'set_max_stack_alloc_item_size',
      'set_safety_padding_overhead',
      'set_metrics_hook',
      'set_log_hook',
      'SessionFactory',
      'AsherahSession',
      'version',
    ]
    const exported = asherah as unknown as Record<string, unknown>
    assert.deepEqual(
      names.filter((name) => typeof exported[name] !== 'function'),
      [],
    )
    asherah.setMaxStackAllocItemSize(100)
    asherah.set_safety_padding_overhead(1)
  })
})

describe('setenv', () => {
  test('takes JSON text, an object, or lines', () => {
    asherah.setenv('# comment\nASHERAH_TEST_A=1\n\nASHERAH_TEST_B=two words\n')
    assert.deepEqual([process.env['ASHERAH_TEST_A'], process.env['ASHERAH_TEST_B']], ['1', 'two words'])
    asherah.setenv('{"ASHERAH_TEST_A":null,"ASHERAH_TEST_B":7}')
    assert.deepEqual([process.env['ASHERAH_TEST_A'], process.env['ASHERAH_TEST_B']], [undefined, '7'])
    asherah.setenv({ ASHERAH_TEST_B: null })
    assert.equal(process.env['ASHERAH_TEST_B'], undefined)
  })

  test('is what SessionFactory.fromEnv() then reads', () => {
    const names = {
      SERVICE_NAME: 'api',
      PRODUCT_ID: 'catalog',
      Metastore: 'memory',
      KMS: 'static',
      STATIC_MASTER_KEY_HEX: '5c'.repeat(32),
    }
    asherah.setenv(names)
    using factory = asherah.SessionFactory.fromEnv()
    const session = factory.getSession('p')
    assert.equal(session.decryptString(session.encryptString('x')), 'x')
    asherah.setenv(Object.fromEntries(Object.keys(names).map((name) => [name, null])))
  })
})

describe('clearPlaintext', () => {
  test('overwrites a decrypted result', () => {
    asherah.setup({ ...config, enableCanaries: true })
    const opened = asherah.decrypt('p', asherah.encryptString('p', 'secret'))
    asherah.clearPlaintext(opened)
    assert.deepEqual([...opened], [0, 0, 0, 0, 0, 0])
    asherah.clearPlaintext(null)
    asherah.clearPlaintext(undefined)
    assert.throws(() => asherah.clearPlaintext('text' as never), TypeError)
  })
})

test('version is that of the package', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  assert.equal(asherah.version(), version)
})
