import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { commandTable } from '../src/command-table.ts'
import { exitCode } from '../src/exit-code.ts'
import { runScript, ScriptFolder } from './script-runner.ts'

const text = readFileSync(new URL('../../../docs/command.md', import.meta.url), 'utf8')

describe('docs/command.md', () => {
  test('shows what the commands print', () => {
    const blocks = [...text.matchAll(/```console\n([\s\S]*?)```/g)].map(([, block = '']) => block)
    assert.ok(blocks.length > 8)
    const folder = new ScriptFolder()
    try {
      for (const block of blocks) runScript(folder, block)
    } finally {
      folder.remove()
    }
  })

  test('has every exit code', () => {
    const documented = [...text.matchAll(/^\| (\d+) \| /gm)].map(([, code]) => Number(code))
    assert.deepEqual(documented, Object.values(exitCode))
  })

  test('names every flag of every command that it describes', () => {
    const folder = new ScriptFolder()
    try {
      for (const { name } of commandTable) {
        const [, section] = text.split(`\n## ${name}\n`)
        // What others add to the table, they describe.
        if (section === undefined) continue
        const [body = ''] = section.split('\n## ')
        const help = folder.run(`asherah ${name} --help`).join('\n')
        const shared = ['--help', '--json', '--config', '--sqlite-path', '--yes', '--log']
        const flags = [...help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].flatMap(([, flag = '']) => flag)
        for (const flag of flags) {
          assert.ok(shared.includes(flag) || body.includes(`\`${flag}`), `${name} ${flag} is not described`)
        }
      }
    } finally {
      folder.remove()
    }
  })
})
