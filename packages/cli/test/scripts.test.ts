import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runScript, ScriptFolder } from './script-runner.ts'

const files = globSync('scripts/*.txt', { cwd: fileURLToPath(new URL('.', import.meta.url)) }).toSorted()

describe('scripts of the command', () => {
  assert.ok(files.length > 5)
  for (const file of files) {
    test(basename(file, '.txt'), () => {
      const folder = new ScriptFolder()
      try {
        assert.ok(runScript(folder, readFileSync(new URL(file, import.meta.url), 'utf8')) > 0)
      } finally {
        folder.remove()
      }
    })
  }
})
