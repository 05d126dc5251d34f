import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type KeyIdParts, KeyIds } from '../../src/keys/key-ids.ts'

const plain: KeyIdParts = {
  serviceName: 'svc',
  productId: 'prod',
  regionSuffix: '',
  recoveryRegionSuffixes: [],
}
const suffixed: KeyIdParts = { ...plain, regionSuffix: 'us-west-2', recoveryRegionSuffixes: ['dr.site'] }

describe('KeyIds', () => {
  test('builds the ids of contract section 1.2', () => {
    assert.equal(new KeyIds(plain).systemKeyId, '_SK_svc_prod')
    assert.equal(new KeyIds(plain).intermediateKeyId('p'), '_IK_p_svc_prod')
    assert.equal(new KeyIds(suffixed).systemKeyId, '_SK_svc_prod_us-west-2')
    assert.equal(new KeyIds(suffixed).intermediateKeyId('p'), '_IK_p_svc_prod_us-west-2')
    assert.equal(new KeyIds(suffixed).intermediateKeyCore('p'), '_IK_p_svc_prod')
  })

  const cases: [parts: KeyIdParts, keyId: string, passes: boolean][] = [
    [plain, '_IK_a_svc_prod', true],
    [plain, '_IK_a_svc_prod_us-west-2', false],
    [plain, '_IK_a_svc_prod2', false],
    [plain, '_IK_b_svc_prod', false],
    [suffixed, '_IK_a_svc_prod', true],
    [suffixed, '_IK_a_svc_prod_us-west-2', true],
    [suffixed, '_IK_a_svc_prod_eu-central-1', true],
    [suffixed, '_IK_a_svc_prod_dr.site', true],
    [suffixed, '_IK_a_svc_prod_other.site', false],
    [suffixed, '_IK_a_svc_prod_', false],
    [suffixed, '_IK_a_svc_prod2', false],
    [suffixed, '_IK_a_svc_prod2_us-west-2', false],
    // Where the service is `prod` too, this is partition `a_prod`.
    [suffixed, '_IK_a_svc_prod_prod', false],
    // Partition `a_svc_prod_x`, which the Rust peer lets session `a` read.
    [suffixed, '_IK_a_svc_prod_x_svc_prod_us-west-2', false],
    [suffixed, '_IK_a_svc_prod_x_svc_prod', false],
  ]
  for (const [parts, keyId, passes] of cases) {
    test(`${parts.regionSuffix === '' ? 'unsuffixed' : 'suffixed'} session of partition a ${passes ? 'accepts' : 'refuses'} ${keyId}`, () => {
      assert.equal(new KeyIds(parts).isIntermediateKeyOf('a', keyId), passes)
    })
  }

  test('no partition reads the newly written keys of another one, unless their ids are equal', () => {
    // Few letters and many delimiters: ids that look like each other.
    const part = fc.stringMatching(/^[ab_]{1,6}$/)
    fc.assert(
      fc.property(part, part, part, part, fc.boolean(), (service, product, one, other, hasSuffix) => {
        const ids = new KeyIds({
          serviceName: service,
          productId: product,
          regionSuffix: hasSuffix ? 'r-1' : '',
          recoveryRegionSuffixes: [],
        })
        const keyId = ids.intermediateKeyId(other)
        assert.equal(ids.isIntermediateKeyOf(one, keyId), one === other)
      }),
      { numRuns: 2000 },
    )
  })

  test('system keys of other regions are parents, of other services are not', () => {
    const parent = (keyId: string, parts = suffixed): boolean =>
      new KeyIds(parts).isSystemKey({ keyId, created: 0 })
    assert.equal(parent('_SK_svc_prod'), true)
    assert.equal(parent('_SK_svc_prod_eu-west-1'), true)
    assert.equal(parent('_SK_svc_prod2'), false)
    assert.equal(parent('_SK_other_prod'), false)
    assert.equal(parent('_IK_a_svc_prod'), false)
    assert.equal(parent('_SK_svc_prod_eu-west-1', plain), false)
    assert.equal(parent('_SK_svc_prod_eu-west-1', { ...plain, recoveryRegionSuffixes: ['eu-west-1'] }), true)
  })

  test('recovery looks under each configured suffix, but not where it has looked', () => {
    const ids = new KeyIds({ ...plain, recoveryRegionSuffixes: ['a', 'b'] })
    assert.deepEqual(ids.recoveryIds('p', '_IK_p_svc_prod'), ['_IK_p_svc_prod_a', '_IK_p_svc_prod_b'])
    assert.deepEqual(ids.recoveryIds('p', '_IK_p_svc_prod_b'), ['_IK_p_svc_prod_a'])
  })
})
