import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { readServeSettings, type ServerError, type Sidecar, serve } from '../src/index.ts'
import { SessionClient } from './support/session-client.ts'
import { memoryFlags, startSidecar, temporaryFolder } from './support/sidecar.ts'

const start = (socketFile: string, flags: object = {}): Promise<Sidecar> =>
  serve(readServeSettings({ ...memoryFlags, socketFile, ...flags }, {}), { log: () => undefined })

async function serves(path: string): Promise<void> {
  using client = new SessionClient(`unix:${path}`)
  assert.ok(await (await client.session('p')).encrypt(Buffer.from('x')))
}

/** A socket on which nobody listens any more: its process was killed. */
async function staleSocket(path: string): Promise<void> {
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', script]), 'exit')
  assert.ok(lstatSync(path).isSocket())
}

describe('the socket', () => {
  test('is made, has nothing beside it, and goes when the server does', async (context) => {
    const folder = temporaryFolder(context)
    const path = join(folder, 'a.sock')
    const sidecar = await start(`unix://${path}`)
    assert.deepEqual(readdirSync(folder), ['a.sock'])
    assert.equal(sidecar.address.socket, path)
    await serves(path)
    await sidecar.close()
    assert.deepEqual(readdirSync(folder), [])
  })

  for (const [given, mode] of [
    ['600', 0o600],
    ['0660', 0o660],
    ['0o777', 0o777],
  ] as const) {
    test(`has the mode ${given} from its first moment`, async (context) => {
      const { address } = await startSidecar(context, { socketMode: given })
      assert.equal(statSync(address.socket).mode & 0o777, mode)
    })
  }

  test('has the mode that the umask gives, where none is wanted', async (context) => {
    const before = process.umask(0o027)
    context.after(() => process.umask(before))
    const { address } = await startSidecar(context)
    assert.equal(statSync(address.socket).mode & 0o777, 0o750)
  })

  test('has its owner, by name or number', {
    skip: process.getuid?.() === 0 ? false : 'only root gives files away',
  }, async (context) => {
    const byNumber = await startSidecar(context, { socketOwner: '1234:4321' })
    const { uid, gid } = statSync(byNumber.address.socket)
    assert.deepEqual([uid, gid], [1234, 4321])
    const byName = await startSidecar(context, { socketOwner: ':daemon' })
    assert.equal(statSync(byName.address.socket).uid, process.getuid?.())
    assert.notEqual(statSync(byName.address.socket).gid, process.getgid?.())
  })

  test('replaces a stale one', async (context) => {
    const path = join(temporaryFolder(context), 's')
    await staleSocket(path)
    const sidecar = await start(path)
    context.after(() => sidecar.close())
    await serves(path)
  })

  test('is never stolen from a server that lives', async (context) => {
    const { address } = await startSidecar(context)
    await assert.rejects(start(address.socket), { name: 'ServerError', code: 'ERR_SOCKET_IN_USE' })
    await serves(address.socket)
    const path = join(temporaryFolder(context), 's')
    const foreign = createServer().listen(path)
    await once(foreign, 'listening')
    context.after(() => foreign.close())
    await assert.rejects(start(path), { code: 'ERR_SOCKET_IN_USE' })
    assert.ok(existsSync(path))
  })

  test('goes to one of many that start at once on a stale one', { timeout: 30_000 }, async (context) => {
    const path = join(temporaryFolder(context), 's')
    await staleSocket(path)
    const results = await Promise.allSettled(Array.from({ length: 8 }, () => start(path)))
    const started = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    context.after(() => Promise.all(started.map((sidecar) => sidecar.close())))
    assert.equal(started.length, 1)
    for (const result of results) {
      if (result.status === 'rejected') assert.equal((result.reason as ServerError).code, 'ERR_SOCKET_IN_USE')
    }
    await serves(path)
  })

  const others: [name: string, make: (path: string) => void][] = [
    ['a file', (path) => writeFileSync(path, 'precious')],
    ['a folder', (path) => mkdirSync(path)],
    ['a link to nothing', (path) => symlinkSync('/nowhere', path)],
  ]
  for (const [name, make] of others) {
    test(`leaves ${name} alone`, async (context) => {
      const folder = temporaryFolder(context)
      const path = join(folder, 's')
      make(path)
      const before = lstatSync(path)
      await assert.rejects(start(path), { code: 'ERR_SOCKET_OCCUPIED' })
      assert.equal(lstatSync(path).ino, before.ino)
      assert.deepEqual(readdirSync(folder), ['s'])
    })
  }

  test('is left alone at the end when another has taken its place', async (context) => {
    const folder = temporaryFolder(context)
    const path = join(folder, 's')
    const first = await start(path)
    renameSync(path, join(folder, 'moved'))
    const second = await start(path)
    context.after(() => second.close())
    await first.close()
    await serves(path)
  })

  test('is refused with what to do, where it cannot be', async (context) => {
    const folder = temporaryFolder(context)
    await assert.rejects(start(join(folder, 'missing', 's')), /ENOENT.*--socket-file/)
    await assert.rejects(start(join(folder, 'x'.repeat(120))), { code: 'ERR_SOCKET_PATH' })
    if (process.getuid?.() !== 0) {
      chmodSync(folder, 0o500)
      await assert.rejects(start(join(folder, 's')), /EACCES/)
    }
  })

  test('is not made when TCP cannot be listened on', async (context) => {
    const { address } = await startSidecar(context, { tcpAddress: '127.0.0.1:0' })
    const path = join(temporaryFolder(context), 's')
    await assert.rejects(start(path, { tcpAddress: address.tcp }), {
      code: 'ERR_LISTEN',
      message: /EADDRINUSE/,
    })
    assert.ok(!existsSync(path))
  })
})
