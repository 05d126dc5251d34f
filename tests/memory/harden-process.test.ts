import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'

const root = join(import.meta.dirname, '..', '..')
const isRoot = process.getuid?.() === 0
const nobody = 65_534
/** The account that the processes run under: root may look into any process. */
const uid = isRoot ? nobody : process.getuid?.()
const asThatUser = isRoot ? ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups'] : []

/** A process with a factory, up to the end of the test. */
async function start(context: TestContext, hardenProcess: boolean): Promise<number> {
  const program = `
    import { SessionFactory } from 'asherah'
    const factory = new SessionFactory({
      serviceName: 'api', productId: 'catalog', metastore: 'memory', kms: 'static',
      staticMasterKeyHex: '2a'.repeat(32), hardenProcess: ${hardenProcess} })
    const session = factory.getSession('tenant-1')
    if (session.decryptString(session.encryptString('secret')) !== 'secret') throw new Error('not the same')
    console.log('ready')
    process.stdin.resume()`
  const [command = '', ...args] = [...asThatUser, process.execPath, '--input-type=module', '-e', program]
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  context.after(() => child.kill('SIGKILL'))
  assert.equal(String((await once(child.stdout, 'data'))[0]), 'ready\n')
  assert.ok(child.pid !== undefined)
  return child.pid
}

interface Openness {
  readonly coreLimit: string | undefined
  readonly noNewPrivileges: string | undefined
  /** Who owns `/proc/PID/mem`: root where the process is not dumpable (proc_pid_mem(5)). */
  readonly owner: number
  /** Whether another process of the same user may look into it. */
  readonly readable: boolean
}

function openness(pid: number): Openness {
  const [command = '', ...args] = [...asThatUser, 'cat', `/proc/${pid}/environ`]
  const line = (file: string, pattern: RegExp): string | undefined =>
    pattern.exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1]
  return {
    coreLimit: line('limits', /^Max core file size +(\S+ +\S+)/m)?.replace(/ +/, ' '),
    noNewPrivileges: line('status', /^NoNewPrivs:\s*(\d)/m),
    owner: statSync(`/proc/${pid}/mem`).uid,
    readable: spawnSync(command, args).status === 0,
  }
}

describe('hardening the process', { skip: process.platform === 'linux' ? false : 'needs Linux' }, () => {
  it('is not done unasked', async (context) => {
    const own = /^Max core file size +(\S+ +\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    const pid = await start(context, false)
    assert.deepEqual(openness(pid), {
      coreLimit: own?.replace(/ +/, ' '),
      noNewPrivileges: '0',
      owner: uid,
      readable: true,
    })
  })

  it('allows no core file, and no other process of the user to look into it', async (context) => {
    const pid = await start(context, true)
    assert.deepEqual(openness(pid), { coreLimit: '0 0', noNewPrivileges: '0', owner: 0, readable: false })
  })
})
