import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RotationPolicy } from '../../src/keys/rotation-policy.ts'
import { codeOf } from '../support/world.ts'

const policy = new RotationPolicy({
  expireAfterSeconds: 3600,
  checkIntervalSeconds: 600,
  createdPrecisionSeconds: 60,
})
const encryptedKey = new Uint8Array(60)

describe('RotationPolicy', () => {
  test('a key is valid until exactly its expiry, and never when revoked', () => {
    assert.equal(policy.isValid({ created: 600, encryptedKey }, 4_200_000 - 1), true)
    assert.equal(policy.isValid({ created: 600, encryptedKey }, 4_200_000), false)
    assert.equal(policy.isValid({ created: 600, encryptedKey, revoked: true }, 600_000), false)
    assert.equal(policy.isValid({ created: 9_999_999_999, encryptedKey }, 0), true)
  })

  test('checks come after nine tenths to the whole of the interval, and are overdue within twice', () => {
    fc.assert(
      fc.property(fc.nat(), (monotonicMs) => {
        const { checkAfterMs, overdueAfterMs } = policy.freshness({ wallMs: 0, monotonicMs })
        const interval = checkAfterMs - monotonicMs
        assert.ok(interval >= 540_000 && interval <= 600_000, String(interval))
        assert.ok(overdueAfterMs - monotonicMs <= 1_200_000)
        assert.ok(overdueAfterMs > checkAfterMs)
      }),
    )
  })

  const dates: [wallMs: number, unusable: number | undefined, created: number][] = [
    [119_999, undefined, 60],
    [120_000, undefined, 120],
    [125_000, 60, 120],
    [125_000, 120, 180],
    [125_000, 180, 240],
    [125_000, 100, 120],
    [-1, undefined, -60],
  ]
  for (const [wallMs, unusable, created] of dates) {
    test(`at ${wallMs} ms after ${unusable ?? 'none'} a key is dated ${created}`, () => {
      assert.equal(policy.createdFor(wallMs, unusable), created)
    })
  }

  test('a date more than five steps ahead is refused', async () => {
    assert.equal(policy.createdFor(0, 240), 300)
    assert.equal(await codeOf(() => policy.createdFor(0, 241)), 'ERR_KEY_TIME')
  })

  test('a new key is never dated like, or before, the unusable one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), fc.integer({ min: -400, max: 299 }), (wallMs, ahead) => {
        const unusable = Math.floor(wallMs / 60_000) * 60 + ahead
        try {
          assert.ok(policy.createdFor(wallMs, unusable) > unusable)
        } catch (error) {
          assert.equal((error as { code?: string }).code, 'ERR_KEY_TIME')
          assert.ok(ahead > 240)
        }
      }),
    )
  })
})
