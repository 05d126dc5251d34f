import assert from 'node:assert/strict'
import { test } from 'node:test'
import { roundKeys } from '../support/aes-schedule.ts'

test('the key expansion that memory is searched for is that of FIPS 197, appendix A.3', () => {
  const key = Buffer.from('603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4', 'hex')
  const rounds = roundKeys(key).map((round) => round.toString('hex'))
  assert.equal(rounds.length, 15)
  assert.equal(rounds.slice(0, 2).join(''), key.toString('hex'))
  assert.equal(rounds[2], '9ba354118e6925afa51a8b5f2067fcde')
  assert.equal(rounds[3], 'a8b09c1a93d194cdbe49846eb75d5b9a')
  assert.equal(rounds[14], 'fe4890d1e6188d0b046df344706c631e')
})
