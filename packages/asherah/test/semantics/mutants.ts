/** A change that breaks one promise, and the tests that must notice. `scripts/mutants.ts` makes each of them in a copy. */
export interface Mutant {
  /** The promise, as broken. */
  readonly name: string
  /** Under `src`. */
  readonly file: string
  /** Exact text, found once. */
  readonly from: string
  readonly to: string
  readonly tests: readonly Reference[]
}

/** A test by its file, under `test`, and its name. */
export type Reference = readonly [file: string, name: string]

function table(group: string): Reference {
  return ['semantics/state-table.test.ts', `${group}: synchronous call, backends answer at once`]
}

function edge(name: string): Reference {
  return ['semantics/edges.test.ts', name]
}

function rule(name: string): Reference {
  return ['keys/semantics.test.ts', name]
}

export const mutants: readonly Mutant[] = [
  {
    name: 'the engine’s gate is skipped',
    file: 'keys/key-hierarchy.ts',
    from: 'if (!this.#ids.isIntermediateKeyOf(partitionId, keyId))',
    to: 'if (keyId === partitionId)',
    tests: [
      ['semantics/isolation.test.ts', 'the engine asks no backend for a key of another partition either'],
    ],
  },
  {
    name: 'the system key’s own state is not looked at',
    file: 'keys/system-key-parent.ts',
    from: 'if (revoked || this.#clock.now() >= expiresAtMs) return retired',
    to: '',
    tests: [table('encrypt, not in the ring')],
  },
  {
    name: 'an expired parent is overlooked',
    file: 'keys/system-key-parent.ts',
    from: 'if (revoked || this.#clock.now() >= expiresAtMs) return retired',
    to: 'if (revoked) return retired',
    tests: [table('encrypt, not in the ring')],
  },
  {
    name: 'a parent in memory is not checked again',
    file: 'keys/system-key-parent.ts',
    from: 'if (held !== undefined && (held.fresh || attempt > 0)) return held',
    to: 'if (held !== undefined) return held',
    tests: [table('encrypt, overdue'), table('encrypt, due')],
  },
  {
    name: 'a revoked key is adopted',
    file: 'keys/rotation-policy.ts',
    from: 'return row.revoked !== true && wallMs',
    to: 'return wallMs',
    tests: [
      table('encrypt, not in the ring'),
      table('encrypt, overdue'),
      rule('a winner that is revoked at once is not adopted'),
    ],
  },
  {
    name: 'a new key is dated after the look-up',
    file: 'keys/key-level.ts',
    from: 'const created = policy.createdFor(at.wallMs, unusableLatest)',
    to: 'const created = policy.createdFor(this.#parts.clock.now(), unusableLatest)',
    tests: [
      edge('a key is dated by the time before it: one that another process makes meanwhile is adopted'),
    ],
  },
  {
    name: 'a new key may be dated like the revoked one',
    file: 'keys/rotation-policy.ts',
    from: 'if (unusableLatest === undefined || unusableLatest < now) return now',
    to: 'if (unusableLatest === undefined || unusableLatest <= now) return now',
    tests: [
      rule(
        'within the minute of creation: the new key is dated after the revoked one, ours and for later processes',
      ),
    ],
  },
  {
    name: 'attempts are not bounded',
    file: 'keys/key-level.ts',
    from: 'attempt < mostAttempts',
    to: 'attempt < mostAttempts * 1e6',
    tests: [edge('a store whose answers contradict each other is given up after five attempts')],
  },
  {
    name: 'an outage makes a key blindly',
    file: 'keys/key-level.ts',
    from: `        if (this.#servesOn(keyId, undefined, error)) return
        throw error`,
    to: '        if (this.#servesOn(keyId, undefined, error)) return',
    tests: [table('encrypt, not in the ring'), rule('metastore down, cold (synchronous)')],
  },
  {
    name: 'a KMS that fails makes a new system key',
    file: 'keys/kms-parent.ts',
    from: 'return { parent: usable, key: yield* wrapper.unwrap(row.encryptedKey) }',
    to: `try {
      return { parent: usable, key: yield* wrapper.unwrap(row.encryptedKey) }
    } catch {
      return { parent: usable, key: undefined }
    }`,
    tests: [table('encrypt, not in the ring')],
  },
  {
    name: 'a revoked key lives on while a newer one cannot be opened',
    file: 'keys/key-level.ts',
    from: 'if (row !== undefined) yield* this.#checkOlder(keyId, row.created, at)',
    to: '',
    tests: [
      edge('does not prolong the life of a revoked intermediate key'),
      edge('does not prolong the life of a revoked system key'),
    ],
  },
  {
    name: 'the loser of a race uses its own key',
    file: 'keys/key-level.ts',
    from: 'if (yield* rows.insert(keyId, record)) {',
    to: 'yield* rows.insert(keyId, record)\n      {',
    tests: [rule('two processes in one minute make one row; the loser adopts the winner')],
  },
  {
    name: 'a winner’s own date is not compared with its row’s',
    file: 'keys/key-rows.ts',
    from: 'if (copy.created !== created) {',
    to: 'if (copy.created > 1e15) {',
    tests: [rule('a row whose inner created is not its own is an error')],
  },
  {
    name: 'a parent of another service is accepted',
    file: 'keys/system-key-parent.ts',
    from: 'meta !== null && this.#ids.isSystemKey(meta) ? meta',
    to: 'meta !== null ? meta',
    tests: [rule('a parent of another service is refused')],
  },
  {
    name: 'a key outlives its parent',
    file: 'keys/key-level.ts',
    from: 'expiresAtMs: Math.min(policy.expiresAtMs(created), parent.expiresAtMs),',
    to: 'expiresAtMs: policy.expiresAtMs(created),',
    tests: [table('encrypt, fresh')],
  },
  {
    name: 'a key is checked later than its parent',
    file: 'keys/key-level.ts',
    from: 'freshness: policy.freshness(at, parent.freshness),',
    to: 'freshness: policy.freshness(at),',
    tests: [
      rule(
        'of a system key: an intermediate key made under it late is looked at again as early as its parent',
      ),
    ],
  },
  {
    name: 'a key is used without end while its check is awaited',
    file: 'keys/rotation-policy.ts',
    from: 'overdueAfterMs: Math.floor(at.monotonicMs + 2 * intervalMs),',
    to: 'overdueAfterMs: Math.floor(at.monotonicMs + 2000 * intervalMs),',
    tests: [table('encrypt, overdue'), table('decrypt, overdue')],
  },
  {
    name: 'a failed check opens no back-off',
    file: 'keys/key-level.ts',
    from: 'ring.backOff(keyId, created, now.monotonicMs + backOffMs)',
    to: '',
    tests: [table('encrypt, overdue'), table('decrypt, overdue')],
  },
  {
    name: 'a key that was seen to be unusable serves on',
    file: 'keys/key-level.ts',
    from: `      expiresAtMs: Math.floor(at.wallMs),
      revoked: row.revoked === true,`,
    to: `      expiresAtMs: this.#parts.policy.expiresAtMs(row.created),
      revoked: false,`,
    tests: [rule('a key that is seen to be revoked does not serve on because no other can be made')],
  },
  {
    name: 'a deleted key goes on decrypting',
    file: 'keys/key-level.ts',
    from: `      ring.evict(keyId, created)
      return false`,
    to: '      return false',
    tests: [table('decrypt, due')],
  },
  {
    name: 'decrypt refuses revoked keys',
    file: 'keys/key-level.ts',
    from: `    if (row === undefined) {
      ring.evict`,
    to: `    if (row === undefined || row.revoked === true) {
      ring.evict`,
    tests: [table('decrypt, not in the ring'), table('decrypt, overdue')],
  },
  {
    name: 'the jitter prolongs the interval',
    file: 'keys/rotation-policy.ts',
    from: '(1 - Math.random() / 10)',
    to: '(1 + Math.random() / 10)',
    tests: [
      [
        'keys/rotation-policy.test.ts',
        'checks come after nine tenths to the whole of the interval, and are overdue within twice',
      ],
    ],
  },
]
