import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { OpenOnce } from '../../src/engine/open-once.ts'
import { SingleFlight } from '../../src/engine/single-flight.ts'
import { isTimeout, TimeLimit } from '../../src/engine/time-limit.ts'
import { drive, settled, type Work } from '../../src/engine/work.ts'
import type { MaybePromise } from '../../src/maybe-promise.ts'

function* sum(...parts: MaybePromise<number>[]): Work<number> {
  let total = 0
  for (const part of parts) total += yield* settled(part)
  return total
}

function* recovering(part: () => MaybePromise<number>): Work<number> {
  try {
    return yield* settled(part())
  } catch {
    return -1
  }
}

describe('drive', () => {
  test('answers at once when nothing has to wait', () => {
    assert.equal(drive(sum(1, 2, 3)), 6)
  })

  test('answers with a promise from the first thing that has to wait', async () => {
    const answer = drive(sum(1, Promise.resolve(2), 3, Promise.resolve(4)))
    assert.ok(answer instanceof Promise)
    assert.equal(await answer, 10)
  })

  test('throws at once, or rejects, what the work throws', async () => {
    const failure = new Error('x')
    // biome-ignore lint/correctness/useYield: it throws at once.
    function* failing(): Work<number> {
      throw failure
    }
    assert.throws(() => drive(failing()), failure)
    await assert.rejects(async () => drive(sum(Promise.reject(failure))), failure)
  })

  test('a rejection is thrown inside the work, which may go on', async () => {
    assert.equal(await drive(recovering(() => Promise.reject(new Error('x')))), -1)
    assert.equal(
      drive(
        recovering(() => {
          throw new Error('x')
        }),
      ),
      -1,
    )
  })

  test('takes any thenable', async () => {
    // biome-ignore lint/suspicious/noThenProperty: a foreign promise is what is tested.
    const thenable = { then: (resolve: (value: number) => void) => resolve(7) } as PromiseLike<number>
    assert.equal(await drive(sum(thenable)), 7)
  })
})

describe('SingleFlight', () => {
  test('shares one run, its value and its error, and forgets it when it has ended', async () => {
    const flights = new SingleFlight()
    let runs = 0
    const ask = (outcome: () => Promise<number>): MaybePromise<number> =>
      drive(
        flights.join('name', function* () {
          runs += 1
          return yield* settled(outcome())
        }),
      )
    assert.deepEqual(
      await Promise.all([ask(async () => 1), ask(async () => 2), ask(async () => 3)]),
      [1, 1, 1],
    )
    assert.equal(runs, 1)
    const failed = await Promise.allSettled([ask(() => Promise.reject(new Error('x'))), ask(async () => 2)])
    assert.deepEqual(
      failed.map((answer) => answer.status),
      ['rejected', 'rejected'],
    )
    assert.equal(await ask(async () => 4), 4)
    assert.equal(runs, 3)
  })

  test('keeps names apart and does not hold what answers at once', () => {
    const flights = new SingleFlight()
    let runs = 0
    const ask = (name: string): MaybePromise<number> =>
      drive(
        // biome-ignore lint/correctness/useYield: it answers at once.
        flights.join(name, function* () {
          runs += 1
          return runs
        }),
      )
    assert.deepEqual([ask('a'), ask('b'), ask('a')], [1, 2, 3])
  })
})

describe('OpenOnce', () => {
  test('opens once for all, and again only after a failure', async () => {
    let openings = 0
    const once = new OpenOnce(async () => {
      openings += 1
      if (openings === 1) throw new Error('not yet')
      return openings
    })
    await assert.rejects(async () => drive(once.get()), /not yet/)
    assert.equal(once.opened, undefined)
    assert.deepEqual(await Promise.all([drive(once.get()), drive(once.get())]), [2, 2])
    assert.equal(drive(once.get()), 2)
    assert.equal(once.opened, 2)
  })
})

describe('TimeLimit', () => {
  const never = new Promise<never>(() => undefined)
  const later = <T>(ms: number, value: T): Promise<T> =>
    new Promise((resolve) => setTimeout(resolve, ms, value))

  test('ends each wait at its own deadline, in their order, and lets answers through', async () => {
    const limit = new TimeLimit(60, { keepsAlive: true })
    const ends: string[] = []
    const note = async (name: string, wait: Promise<unknown>): Promise<void> => {
      const answer = await wait.catch((error: unknown) => (isTimeout(error) ? 'timeout' : String(error)))
      ends.push(`${name} ${String(answer)}`)
    }
    const started = performance.now()
    const waits = [note('first', limit.on(never)), note('answered', limit.on(later(5, 'in time')))]
    await later(30, undefined)
    waits.push(note('second', limit.on(never)), note('failed', limit.on(Promise.reject(new Error('down')))))
    await Promise.all(waits)
    assert.deepEqual(ends, ['answered in time', 'failed Error: down', 'first timeout', 'second timeout'])
    assert.ok(performance.now() - started >= 85)
    // Once more after all have ended, over the timer that is left.
    await assert.rejects(limit.on(never), { code: 'ERR_TIMEOUT' })
    assert.equal(await limit.on(later(1, 7)), 7)
  })

  for (const [keepsAlive, prints] of [
    [true, 'ERR_TIMEOUT\n'],
    [false, ''],
  ] as const) {
    test(`with keepsAlive ${keepsAlive}, a process ${keepsAlive ? 'waits for' : 'ends before'} the deadline`, () => {
      const source = new URL('../../src/engine/time-limit.ts', import.meta.url)
      const program = `
        import { TimeLimit } from ${JSON.stringify(source.href)}
        const limit = new TimeLimit(300, { keepsAlive: ${keepsAlive} })
        // Answered waits leave a timer behind, which must keep nothing alive by itself.
        await limit.on(Promise.resolve())
        limit.on(new Promise(() => undefined)).catch((error) => console.log(error.code))`
      const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
        encoding: 'utf8',
        timeout: 30_000,
      })
      assert.deepEqual([stdout, status], [prints, 0])
    })
  }

  test('does not keep a process alive once everything was answered', () => {
    const source = new URL('../../src/engine/time-limit.ts', import.meta.url)
    const program = `
      import { TimeLimit } from ${JSON.stringify(source.href)}
      await new TimeLimit(60_000, { keepsAlive: true }).on(Promise.resolve())`
    const { status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      timeout: 30_000,
    })
    assert.equal(status, 0)
  })
})
