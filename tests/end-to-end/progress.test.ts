import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Progress } from '../../samples/protect-columns/src/progress.ts'
import { shortened, Terminal, visible } from '../../samples/protect-columns/src/terminal.ts'

/** A terminal of 80 columns that keeps what is written to it. */
function screen(isTTY: boolean, environment: NodeJS.ProcessEnv) {
  const stream = Object.assign(new PassThrough({ encoding: 'utf8' }), { isTTY, columns: 80 })
  // Of a tty.WriteStream, only what is here is used.
  const terminal = new Terminal(stream as unknown as NodeJS.WriteStream, environment)
  return { terminal, written: (): string => String(stream.read() ?? '') }
}

const colour = '\u001b['
const eraseLine = '\r\u001b[K'

async function progressOn(terminal: Terminal): Promise<void> {
  const progress = new Progress(terminal, 'sealing')
  await delay(2)
  progress.show(0.5, 5000)
  progress.done(10_000)
}

describe('progress', () => {
  test('is a coloured bar on a terminal, gone when the work is done', async () => {
    const { terminal, written } = screen(true, { TERM: 'xterm' })
    await progressOn(terminal)
    const text = written()
    assert.match(text, /█+.*░+.* 50% {2}5,000 rows/)
    assert.ok(text.replaceAll(eraseLine, '').includes(colour))
    assert.match(
      text.slice(text.lastIndexOf(eraseLine) + eraseLine.length),
      /^sealing {2}10,000 rows in .*\n$/,
    )
  })

  test('has no colour with NO_COLOR', async () => {
    const { terminal, written } = screen(true, { TERM: 'xterm', NO_COLOR: '1' })
    await progressOn(terminal)
    const text = written()
    assert.match(text, /█+░+/)
    assert.ok(!text.replaceAll(eraseLine, '').includes('\u001b'))
  })

  for (const [name, isTTY, term] of [
    ['a pipe', false, 'xterm'],
    ['a dumb terminal', true, 'dumb'],
  ] as const) {
    test(`is plain lines on ${name}`, async () => {
      const { terminal, written } = screen(isTTY, { TERM: term })
      await progressOn(terminal)
      assert.match(written(), /^sealing {2}10,000 rows in [\d.]+ s, [\d,]+ a second\n$/)
    })
  }
})

describe('text of the data', () => {
  test('cannot move the cursor, begin a line or turn the direction of writing', () => {
    const hostile = 'a\u001b[2Jb\r\nc\u009bd\u2028e\u202ef\u0000'
    assert.equal(visible(hostile), 'a\\u001b[2Jb\\u000d\\u000ac\\u009bd\\u2028e\\u202ef\\u0000')
    assert.equal(visible('Zoë 数据 🦉'), 'Zoë 数据 🦉')
  })

  test('is cut in the middle, between characters', () => {
    assert.equal(shortened('short', 10), 'short')
    assert.equal(shortened('🦉'.repeat(100), 8), `${'🦉'.repeat(5)}…${'🦉'.repeat(2)}`)
    assert.equal(shortened(`begin${'x'.repeat(1000)}end`, 20), `beginxxxxxxxxx…xxend`)
    assert.ok(shortened('\u001b'.repeat(500), 20).length <= 20)
  })
})
