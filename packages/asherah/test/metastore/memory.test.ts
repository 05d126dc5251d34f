import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MemoryMetastore } from '../../src/metastore/memory.ts'
import { metastoreContract, sampleRecord } from './contract.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

metastoreContract('memory', () => ({ store: new MemoryMetastore(), end() {} }), {
  closes: false,
  keepsText: false,
  runs: 300,
})

test('the memory store answers with plain values', () => {
  const store = new MemoryMetastore()
  assert.equal(store.store('_SK_a', 60, sampleRecord(60, 1)), true)
  assert.deepEqual(store.load('_SK_a', 60), sampleRecord(60, 1))
  assert.deepEqual(store.loadLatest('_SK_a'), sampleRecord(60, 1))
  assert.equal(store.size, 1)
})

test('100,000 ids take constant time each and less than 400 bytes', () => {
  const store = new MemoryMetastore()
  const count = 100_000
  collect()
  const before = process.memoryUsage().heapUsed
  const start = performance.now()
  for (let index = 0; index < count; index += 1) {
    store.store(`_IK_partition-${index}_service_product`, 60, sampleRecord(60, index))
  }
  for (let index = 0; index < count; index += 1) {
    if (store.loadLatest(`_IK_partition-${index}_service_product`) === undefined) assert.fail(String(index))
  }
  const milliseconds = performance.now() - start
  assert.equal(store.size, count)
  // About 0.5 s; a scan of all rows for each would take minutes.
  assert.ok(milliseconds < 20_000, `${milliseconds} ms`)
  collect()
  const bytes = (process.memoryUsage().heapUsed - before) / count
  assert.ok(bytes < 400, `${bytes} bytes a row`)
  assert.equal(store.size, count)
})

test('a thousand generations of one key are stored and found', () => {
  const store = new MemoryMetastore()
  for (let created = 0; created < 60_000; created += 60)
    store.store('_SK_a', created, sampleRecord(created, created))
  for (let created = 0; created < 60_000; created += 60) {
    assert.deepEqual(store.load('_SK_a', created), sampleRecord(created, created))
  }
  assert.equal(store.loadLatest('_SK_a')?.created, 59_940)
})
