import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ServiceKey, ServiceKeyIds } from '../../src/admin/service-keys.ts'

const plain = { serviceName: 'api', productId: 'catalog', regionSuffix: '', recoveryRegionSuffixes: [] }
const regional = { ...plain, regionSuffix: 'us-west-2', recoveryRegionSuffixes: ['eu_1', 'us-east-1'] }

describe('what an id says of a service', () => {
  const system = (suffix: string, configured: boolean): ServiceKey => ({ kind: 'system', suffix, configured })
  const intermediate = (partitionId: string, suffix: string, configured: boolean): ServiceKey => ({
    kind: 'intermediate',
    partitionId,
    suffix,
    configured,
  })
  const cases: readonly (readonly [object, string, ServiceKey | undefined])[] = [
    [plain, '_SK_api_catalog', system('', true)],
    [plain, '_SK_api_catalog_us-west-2', system('us-west-2', false)],
    [regional, '_SK_api_catalog_us-west-2', system('us-west-2', true)],
    [regional, '_SK_api_catalog', system('', true)],
    [regional, '_SK_api_catalog_eu_1', system('eu_1', true)],
    [plain, '_SK_api_catalog2', undefined],
    [plain, '_SK_web_api_catalog', undefined],
    [plain, '_SK__api_catalog', undefined],
    [plain, '_IK_alice_api_catalog', intermediate('alice', '', true)],
    [plain, '_IK_a_b_api_catalog', intermediate('a_b', '', true)],
    [plain, '_IK__api_catalog', intermediate('', '', true)],
    [plain, '_IK_api_catalog', undefined],
    [plain, '_IK_alice_api_catalog_us-west-2', intermediate('alice', 'us-west-2', false)],
    [regional, '_IK_alice_api_catalog_us-west-2', intermediate('alice', 'us-west-2', true)],
    [regional, '_IK_alice_api_catalog_ap-1', intermediate('alice', 'ap-1', false)],
    [plain, '_IK_alice_api_catalog_x_y', undefined],
    [plain, '_IK_alice_api_catalog2', undefined],
    [plain, '_IK_alice_web_catalog', undefined],
    [plain, 'alice', undefined],
  ]
  for (const [parts, keyId, expected] of cases) {
    test(`${keyId}${parts === regional ? ', with suffixes' : ''}`, () => {
      assert.deepEqual(new ServiceKeyIds(parts as typeof plain).identify(keyId), expected)
    })
  }

  test('the ids of a partition are those that its sessions may read', () => {
    assert.deepEqual(new ServiceKeyIds(plain).intermediateKeyIds('alice'), ['_IK_alice_api_catalog'])
    assert.deepEqual(new ServiceKeyIds(regional).intermediateKeyIds('alice'), [
      '_IK_alice_api_catalog_us-west-2',
      '_IK_alice_api_catalog',
      '_IK_alice_api_catalog_eu_1',
      '_IK_alice_api_catalog_us-east-1',
    ])
  })
})
