import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

/** What `support/dropped-factories.ts` found. */
interface Found {
  readonly destroyed: boolean
  /** Held while only the live session's factory is left. */
  readonly masterKeys: number
  readonly liveSession: string
  readonly closedAfterwards: boolean
}

test('the keys of a factory that was dropped are destroyed, those of a live session are not', () => {
  const program = join(import.meta.dirname, 'support', 'dropped-factories.ts')
  const output = execFileSync(process.execPath, ['--expose-gc', program], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  const found: Found = {
    destroyed: true,
    masterKeys: 1,
    liveSession: 'still here',
    closedAfterwards: true,
  }
  assert.deepEqual(JSON.parse(output), found)
})
