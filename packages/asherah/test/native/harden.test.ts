import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

// /proc/PID of a process that is not dumpable belongs to root, so an unprivileged one is refused its own.
const program = `
  import { readFileSync, openSync, closeSync } from 'node:fs'
  import { checked } from ${JSON.stringify(new URL('../../src/native/checked.ts', import.meta.url))}
  import { loadNative } from ${JSON.stringify(new URL('../../src/native/load.ts', import.meta.url))}
  const opens = () => {
    try {
      closeSync(openSync('/proc/self/environ', 'r'))
      return true
    } catch (error) {
      return error.code
    }
  }
  const before = opens()
  checked(loadNative().hardenProcess())
  checked(loadNative().hardenProcess())
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const core = /Max core file size +(\\S+) +(\\S+)/.exec(limits)?.slice(1)
  console.log(JSON.stringify({ core, before, after: opens() }))
`

test('hardenProcess leaves no core file, and the memory to root', () => {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', program]
  const unprivileged = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const output = execFileSync(process.execPath, args, { encoding: 'utf8', ...unprivileged })
  assert.deepEqual(JSON.parse(output), { core: ['0', '0'], before: true, after: 'EACCES' })
})
