import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { LockLimitAnswer, LockLimitWork } from '../support/lock-limit-program.ts'

const program = join(import.meta.dirname, '..', 'support', 'lock-limit-program.ts')

async function underLimit(bytes: number, work: LockLimitWork): Promise<LockLimitAnswer> {
  const limit = `--memlock=${bytes}:${bytes}`
  const { stdout, stderr } = await promisify(execFile)('prlimit', [
    limit,
    process.execPath,
    program,
    JSON.stringify(work),
  ])
  assert.equal(stderr, '')
  return JSON.parse(stdout) as LockLimitAnswer
}

describe('a limit of locked memory', {
  skip: process.platform === 'linux' ? false : 'needs prlimit',
}, () => {
  it('of 64 KiB: fewer keys are kept expanded, all are locked, and it is told once', async () => {
    const answer = await underLimit(65_536, { config: {}, partitions: 5000 })
    const { lockedBytes, unlockedBytes, hotSlots, lockedByKernel, ringKeys, warnings } = answer
    assert.ok(lockedBytes > 0 && lockedBytes <= 65_536, `${lockedBytes}`)
    assert.equal(lockedByKernel, lockedBytes)
    assert.equal(unlockedBytes, 0)
    assert.ok(hotSlots >= 16 && hotSlots < 4096, `${hotSlots}`)
    assert.equal(ringKeys, 5000)
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0] ?? '',
      /^The memory lock limit of 65536 bytes leaves room for \d+ of 4096 hot slots: /,
    )
    assert.match(warnings[0] ?? '', /`ulimit -l`, LimitMEMLOCK= of systemd, --ulimit memlock/)
  })

  it('of 64 KiB is enough where locked memory is required', async () => {
    const config = { hotSlots: 16, requireLockedMemory: true }
    const { refused, unlockedBytes, warnings } = await underLimit(65_536, { config, partitions: 500 })
    assert.equal(refused, undefined)
    assert.equal(unlockedBytes, 0)
    assert.deepEqual(warnings, [])
  })

  it('of nothing: it works in memory that may be swapped out, and that is told once', async () => {
    const { lockedBytes, lockedByKernel, unlockedBytes, warnings } = await underLimit(0, {
      config: {},
      partitions: 5000,
    })
    assert.deepEqual([lockedBytes, lockedByKernel], [0, 0])
    assert.ok(unlockedBytes > 0)
    assert.equal(warnings.length, 1)
    assert.match(
      warnings[0] ?? '',
      /^The memory lock limit of 0 bytes does not allow locking the memory for keys: \d+ bytes of it may be swapped out\. Raise/,
    )
  })

  it('of nothing is an error where locked memory is required', async () => {
    const { refused, refusal, warnings } = await underLimit(0, {
      config: { requireLockedMemory: true },
      partitions: 1,
    })
    assert.equal(refused, 'ERR_MEMORY_LOCK_LIMIT')
    assert.match(
      refusal ?? '',
      /^requireLockedMemory is set, and the lock limit of 0 bytes does not allow it\. Raise the limit/,
    )
    assert.deepEqual(warnings, [])
  })

  it('of 64 KiB holds for three hundred thousand keys, which rest sealed outside it', {
    timeout: 120_000,
  }, async () => {
    const config = { ringSize: 300_000 }
    const answer = await underLimit(65_536, { config, partitions: 300_000 })
    assert.equal(answer.ringKeys, 300_000)
    assert.equal(answer.unlockedBytes, 0)
    assert.ok(answer.lockedByKernel <= 65_536)
    assert.equal(answer.warnings.length, 1)
  })
})
