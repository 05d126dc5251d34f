import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Findings } from '../../src/config/problems.ts'
import { type KeyName, keyNames, schema } from '../../src/config/schema.ts'
import { keyOf, settingsFromObject, spell, spellingsOf, suggestion } from '../../src/config/spellings.ts'

/** The textbook recurrence, as an oracle: nothing shared with what is tested. */
function distance(a: string, b: string, known = new Map<string, number>()): number {
  if (a === '' || b === '') return a.length + b.length
  const id = `${a.length},${b.length}`
  const before = known.get(id)
  if (before !== undefined) return before
  const [x, y] = [a.slice(1), b.slice(1)]
  let least = Math.min(
    distance(x, b, known) + 1,
    distance(a, y, known) + 1,
    distance(x, y, known) + (a[0] === b[0] ? 0 : 1),
  )
  if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0]) {
    least = Math.min(least, distance(a.slice(2), b.slice(2), known) + 1)
  }
  known.set(id, least)
  return least
}

const plain = (name: string) => name.toLowerCase().replaceAll('_', '')
const names = keyNames.flatMap((key) => [key, ...(schema[key].aliases ?? [])])
const letters = [...'abcdefghijklmnopqrstuvwxyz']

const edit = fc.record({
  how: fc.constantFrom('insert', 'delete', 'replace', 'swap'),
  where: fc.nat(40),
  letter: fc.constantFrom(...letters),
})

function edited(
  name: string,
  { how, where, letter }: { how: string; where: number; letter: string },
): string {
  const at = where % name.length
  const [head, tail] = [name.slice(0, at), name.slice(at)]
  if (how === 'insert') return head + letter + tail
  if (how === 'delete') return head + tail.slice(1)
  if (how === 'replace') return head + letter + tail.slice(1)
  return head + tail.slice(1, 2) + tail.slice(0, 1) + tail.slice(2)
}

describe('spellings', () => {
  const tables: [string, readonly string[]][] = [
    ['serviceName', ['serviceName', 'ServiceName', 'service_name']],
    ['productId', ['productId', 'productID', 'ProductID', 'ProductId', 'product_id']],
    ['kms', ['kms', 'KMS', 'Kms']],
    ['kmsKeyId', ['kmsKeyId', 'kmsKeyID', 'KmsKeyId', 'KmsKeyID', 'KMSKeyId', 'KMSKeyID', 'kms_key_id']],
    [
      'dynamoDbEndpoint',
      [
        'dynamoDbEndpoint',
        'dynamoDBEndpoint',
        'DynamoDBEndpoint',
        'DynamoDbEndpoint',
        'dynamo_db_endpoint',
        'dynamodb_endpoint',
      ],
    ],
    [
      'sqlMetastoreDbType',
      [
        'sqlMetastoreDbType',
        'sqlMetastoreDBType',
        'SQLMetastoreDBType',
        'SqlMetastoreDbType',
        'sql_metastore_db_type',
      ],
    ],
    ['vaultApproleRoleId', ['vaultApproleRoleId', 'VaultApproleRoleId', 'vault_approle_role_id']],
    ['vaultK8sTokenPath', ['vaultK8sTokenPath', 'VaultK8sTokenPath', 'vault_k8s_token_path']],
    ['staticMasterKeyHex', ['staticMasterKeyHex', 'StaticMasterKeyHex', 'static_master_key_hex']],
    ['awsProfileName', ['awsProfileName', 'AwsProfileName', 'AWSProfileName', 'aws_profile_name']],
    ['configDriftForceRun', ['ConfigDriftForceRun', 'ForceRunWithConfigDrift', 'forceRunWithConfigDrift']],
    ['configDriftForceUpdate', ['ConfigDriftForceUpdate', 'ForceUpdateConfigDriftGuard']],
  ]
  for (const [key, spellings] of tables) {
    it(`knows ${key} as ${spellings.join(', ')}`, () => {
      for (const spelling of spellings) assert.equal(keyOf(spelling), key)
    })
  }

  it('has every PascalCase name of the contract', () => {
    const contract = `ServiceName ProductID Metastore KMS ConnectionString SQLMetastoreDBType ReplicaReadConsistency
      ExpireAfter CheckInterval SessionCacheMaxSize SessionCacheDuration EnableSessionCaching DynamoDBEndpoint
      DynamoDBRegion DynamoDBSigningRegion DynamoDBTableName EnableRegionSuffix RecoveryRegionSuffixes
      SelfHealRecoveredKeys RegionMap PreferredRegion KmsKeyId AwsProfileName StaticMasterKeyHex
      SecretsManagerSecretId VaultAddr VaultTransitKey VaultTransitMount VaultToken VaultAuthMethod VaultAuthRole
      VaultAuthMount VaultApproleRoleId VaultApproleSecretId VaultClientCert VaultClientKey VaultK8sTokenPath
      PoolMaxOpen PoolMaxIdle PoolMaxLifetime PoolMaxIdleTime ConfigDriftForceRun ForceRunWithConfigDrift
      ConfigDriftForceUpdate ForceUpdateConfigDriftGuard Verbose EnableCanaries DisableZeroCopy NullDataCheck`
    for (const name of contract.split(/\s+/)) assert.notEqual(keyOf(name), undefined, name)
  })

  it('gives no spelling to two keys, and never one that differs in case alone', () => {
    const owners = new Map<string, string>()
    for (const name of names) {
      for (const spelling of spellingsOf(name)) {
        assert.equal(owners.get(spelling) ?? name, name, spelling)
        owners.set(spelling, name)
      }
    }
    assert.equal(keyOf('servicename'), undefined)
    assert.equal(keyOf('SERVICE_NAME'), undefined)
    assert.equal(keyOf('__proto__'), undefined)
    assert.equal(keyOf('constructor'), undefined)
  })

  it('spells every key so that it is understood again', () => {
    for (const key of keyNames) {
      for (const style of ['camel', 'pascal', 'snake'] as const) assert.equal(keyOf(spell(key, style)), key)
    }
  })
})

describe('suggestion', () => {
  const tables = [
    ['servceName', 'serviceName'],
    ['ServcieName', 'ServiceName'],
    ['service_nme', 'service_name'],
    ['servicename', 'serviceName'],
    ['SERVICE_NAME', 'ServiceName'],
    ['DynamoDBEndpiont', 'DynamoDBEndpoint'],
    ['product_idd', 'product_id'],
    ['KSM', 'KMS'],
    ['kmss', 'kms'],
    ['ringsize', 'ringSize'],
    ['forceRunWithConfigDrif', 'forceRunWithConfigDrift'],
  ] as const
  for (const [given, expected] of tables) {
    it(`${given}: ${expected}`, () => assert.equal(suggestion(given), expected))
  }

  it('spells a word without a style of its own as the others are spelled', () => {
    assert.equal(suggestion('ringsize', 'pascal'), 'RingSize')
    assert.equal(suggestion('ringsize', 'snake'), 'ring_size')
  })

  it('names the key behind any misspelling within distance 2', () => {
    let exact = 0
    const property = fc.property(
      fc.constantFrom(...names),
      fc.array(edit, { minLength: 1, maxLength: 2 }),
      (name, edits) => {
        const wrong = edits.reduce(edited, name)
        fc.pre(wrong !== '' && keyOf(wrong) === undefined)
        const meant = distance(plain(wrong), plain(name))
        // Two edits at one place can be three to a reader: an inserted letter between two that are swapped.
        fc.pre(meant <= 2)
        const rivals = names.filter(
          (other) =>
            other !== name &&
            Math.abs(plain(wrong).length - plain(other).length) <= meant &&
            distance(plain(wrong), plain(other)) <= meant,
        )
        const suggested = suggestion(wrong)
        if (rivals.length === 0) {
          exact++
          assert.equal(plain(suggested), plain(spell(name, 'camel')), wrong)
        } else {
          // Another key is as near as the one that was meant: any of them is right.
          assert.ok(
            [name, ...rivals].some((near) => plain(suggested) === plain(near)),
            wrong,
          )
        }
      },
    )
    fc.assert(property, { numRuns: 400 })
    assert.ok(exact > 360, `${exact} of 400 misspellings have one nearest key`)
  })

  it('stays quick for an absurd key', () => {
    const start = performance.now()
    suggestion('x'.repeat(10_000_000))
    assert.ok(performance.now() - start < 1000)
  })
})

describe('settingsFromObject', () => {
  const read = (input: object) => {
    const findings = new Findings()
    const settings = settingsFromObject(input, findings)
    findings.throwIfAny()
    return settings
  }

  it('takes spellings mixed within one object', () => {
    const settings = read({ ServiceName: 'a', productId: 'b', ring_size: 7, KMS: 'static' })
    assert.deepEqual(
      (['serviceName', 'productId', 'ringSize', 'kms'] as const).map((key: KeyName) => settings.value(key)),
      ['a', 'b', 7, 'static'],
    )
  })

  it('refuses one key in two spellings with two values, and takes it with one', () => {
    assert.throws(
      () => read({ ServiceName: 'a', service_name: 'b' }),
      /service_name is the same key as ServiceName/,
    )
    assert.equal(read({ ServiceName: 'a', service_name: 'a' }).value('serviceName'), 'a')
    assert.equal(read({ ServiceName: null, service_name: 'b' }).value('serviceName'), 'b')
    assert.deepEqual(
      read({ RegionMap: { r: 'a' }, region_map: { r: 'a' } }).map('regionMap'),
      new Map([['r', 'a']]),
    )
  })

  it('reads members of the object itself only, and takes __proto__ for an unknown key', () => {
    const inherited = Object.create({ serviceName: 'a' }) as object
    assert.equal(read(inherited).isGiven('serviceName'), false)
    assert.throws(() => read(JSON.parse('{"__proto__":{"serviceName":"a"}}') as object), /is not a known key/)
  })

  it('names a missing key as the others are spelled', () => {
    assert.equal(read({ ServiceName: 'a', KMS: 'static' }).nameOf('productId'), 'ProductID')
    assert.equal(read({ service_name: 'a' }).nameOf('productId'), 'product_id')
    assert.equal(read({ serviceName: 'a' }).nameOf('productId'), 'productId')
  })
})
