import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { readServeSettings, serve } from '../src/index.ts'
import { SessionClient } from './support/session-client.ts'
import { memoryFlags, temporaryFolder } from './support/sidecar.ts'
import { SidecarProcess } from './support/sidecar-process.ts'

const data = Buffer.from('of the row')

/** Flags whose records another process can read. */
function fileFlags(folder: string): Record<string, string> {
  process.env['STATIC_MASTER_KEY_HEX'] = '5c'.repeat(32)
  const conn = join(folder, 'keys.db')
  return {
    service: 'svc',
    product: 'prod',
    metastore: 'sqlite',
    conn,
    kms: 'static',
    socketFile: join(folder, 's'),
  }
}

test('killed under load and started again, it serves on the same socket, and every record is read', {
  timeout: 60_000,
}, async (context) => {
  const folder = temporaryFolder(context)
  const flags = fileFlags(folder)
  using client = new SessionClient(`unix:${flags['socketFile']}`)
  const records: { readonly text: string; readonly record: Awaited<ReturnType<typeof encryptOne>> }[] = []
  let ended = false
  let broken = 0
  const encryptOne = async (partition: string, text: string) => {
    const stream = await client.session(partition)
    const record = await stream.encrypt(Buffer.from(text))
    stream.call.end()
    return record
  }
  const load = async (partition: string): Promise<void> => {
    for (let count = 0; !ended; count++) {
      const text = `${partition} ${count}`
      try {
        records.push({ text, record: await encryptOne(partition, text) })
      } catch {
        broken += 1
        await sleep(20)
      }
    }
  }
  let sidecar = await SidecarProcess.start(context, flags)
  const loads = Array.from({ length: 4 }, (_, index) => load(`partition-${index}`))
  const more = async (count: number): Promise<void> => {
    for (const wanted = records.length + count; records.length < wanted; ) await sleep(20)
  }
  for (let round = 0; round < 3; round++) {
    await more(20)
    assert.equal(await sidecar.end('SIGKILL'), 'SIGKILL')
    assert.ok(existsSync(flags['socketFile'] ?? ''), 'a killed server cannot remove its socket')
    sidecar = await SidecarProcess.start(context, flags)
  }
  await more(20)
  ended = true
  await Promise.all(loads)
  assert.ok(broken > 0, 'no call met the end of the server')
  for (const { text, record } of records.slice(-300)) {
    const stream = await client.session(text.split(' ')[0] ?? '')
    assert.equal((await stream.decrypt(record)).toString(), text)
    stream.call.end()
  }
})

describe('SIGTERM', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`as ${signal}: what is under way is answered, streams end as unavailable, the socket goes`, {
      timeout: 30_000,
    }, async (context) => {
      const folder = temporaryFolder(context)
      const socketFile = join(folder, 's')
      const sidecar = await SidecarProcess.start(context, { ...memoryFlags, socketFile })
      using client = new SessionClient(`unix:${socketFile}`)
      const idle = await client.session('idle')
      const busy = await client.session('busy')
      busy.send({ encrypt: { data: Buffer.alloc(32 << 20, 1) } })
      // Until the server has begun with the message.
      await sleep(50)
      const exit = sidecar.end(signal)
      assert.equal((await busy.next()).encrypt_response?.data_row_record.data.length, (32 << 20) + 28)
      assert.equal((await idle.status).code, 14)
      assert.equal(await exit, '0')
      assert.ok(!existsSync(socketFile))
      assert.match(sidecar.log, /shutting down[\s\S]*stopped/)
    })
  }

  test('streams that never rest are ended at the limit', { timeout: 30_000 }, async (context) => {
    const socketFile = join(temporaryFolder(context), 's')
    const settings = readServeSettings({ ...memoryFlags, socketFile, shutdownDrainTimeout: '1s' }, {})
    const sidecar = await serve(settings, { log: () => undefined })
    using client = new SessionClient(`unix:${socketFile}`)
    const stream = await client.session('p')
    let going = true
    const load = (async () => {
      while (going) await stream.encrypt(data).catch(() => (going = false))
    })()
    const start = performance.now()
    await sidecar.close()
    const took = performance.now() - start
    await load
    assert.equal((await stream.status).code, 14)
    assert.ok(took > 900 && took < 10_000, `${took} ms`)
  })
})

describe('--workers', () => {
  test('share one socket; one that dies is replaced; all go at the end', {
    timeout: 60_000,
  }, async (context) => {
    const folder = temporaryFolder(context)
    const flags: Record<string, string> = { ...fileFlags(folder), workers: '2', tcpAddress: '127.0.0.1:0' }
    const sidecar = await SidecarProcess.start(context, flags)
    const before = sidecar.children
    assert.equal(before.length, 2)
    const clients = Array.from({ length: 4 }, () => new SessionClient(`unix:${flags['socketFile']}`))
    context.after(() => {
      for (const client of clients) client.close()
    })
    const streams = await Promise.all(clients.map((client) => client.session('p')))
    const records = await Promise.all(streams.map((stream) => stream.encrypt(data)))
    // Whatever worker wrote it, any reads it.
    for (const [index, stream] of streams.entries()) {
      for (const record of records) assert.deepEqual(await stream.decrypt(record), data, `stream ${index}`)
    }
    const [first = 0] = before
    process.kill(first, 'SIGKILL')
    const ended = await Promise.all(streams.map((stream) => Promise.race([stream.status, sleep(1000)])))
    assert.equal(
      ended.filter((status) => status !== undefined).length,
      2,
      'half of the connections were the other’s',
    )
    for (let waited = 0; sidecar.children.length < 2 && waited < 100; waited++) await sleep(100)
    const after = sidecar.children
    assert.equal(after.length, 2)
    assert.ok(!after.includes(first))
    using again = new SessionClient(`unix:${flags['socketFile']}`)
    const last = await again.session('p')
    assert.ok(await last.encrypt(data))
    const others = streams.filter((_, index) => ended[index] === undefined)
    for (const stream of others) assert.ok(await stream.encrypt(data), 'the other worker went on')
    assert.equal(await sidecar.end('SIGTERM'), '0')
    for (const stream of [...others, last]) assert.equal((await stream.status).code, 14)
    assert.deepEqual(sidecar.children, [])
    assert.ok(!existsSync(flags['socketFile'] ?? ''))
  })

  test('one that hangs and dies leaves no client waiting, and no file open', {
    timeout: 30_000,
  }, async (context) => {
    const flags: Record<string, string> = { ...fileFlags(temporaryFolder(context)), workers: '2' }
    const sidecar = await SidecarProcess.start(context, flags)
    const files = (): number => readdirSync(`/proc/${sidecar.pid}/fd`).length
    const [first = 0] = sidecar.children
    process.kill(first, 'SIGSTOP')
    const before = files()
    const connections = Array.from({ length: 10 }, () => connect(flags['socketFile'] ?? ''))
    const closed = new Set<number>()
    for (const [index, connection] of connections.entries()) {
      connection.on('error', () => undefined)
      connection.on('close', () => closed.add(index))
      context.after(() => connection.destroy())
    }
    // Half of them are the other worker's, which has taken them by then.
    while (files() < before + 5) await sleep(20)
    await sleep(300)
    process.kill(first, 'SIGKILL')
    while (closed.size < 5) await sleep(20)
    await sleep(100)
    assert.equal(closed.size, 5)
    using client = new SessionClient(`unix:${flags['socketFile']}`)
    assert.ok(await (await client.session('p')).encrypt(data))
    while (sidecar.children.length < 2) await sleep(50)
    // A process that is being started takes files here for a moment.
    for (let waited = 0; files() > before && waited < 100; waited++) await sleep(50)
    assert.ok(files() <= before, `${files()} files, and ${before} before`)
  })

  test('that cannot start say why', async (context) => {
    const folder = temporaryFolder(context)
    const flags = { ...fileFlags(folder), conn: join(folder, 'missing', 'keys.db'), workers: '2' }
    const settings = readServeSettings(flags, { STATIC_MASTER_KEY_HEX: '5c'.repeat(32) })
    await assert.rejects(serve(settings, { log: () => undefined }), {
      code: 'ERR_WORKER',
      message: /ERR_METASTORE/,
    })
    assert.ok(!existsSync(settings.socket.path))
  })
})
