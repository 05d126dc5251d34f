import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { jsonLines } from './command-process.ts'
import { orderFlags, renewOrders } from './orders-renewal.ts'
import { type OrdersTable, openOrders, quoted, readBack, seedOrders } from './orders-table.ts'

/** Tables whose keys are of every kind: ranges of them, in a process each, go over every row once and change nothing else. */

/** More than a page of any database, so that pages end at keys of all kinds. */
const rows = 1_300

const digest = (index: number): string => createHash('md5').update(String(index)).digest('hex')
const uuid = (index: number): string => digest(index).replace(/^(.{8})(.{4}).(.{3}).(.{3})/, '$1-$2-4$3-a$4-')
/** Around 2^53, above which JavaScript's numbers are not exact, and around 0. */
const large = (index: number): string =>
  String(index % 2 === 0 ? 9_007_199_254_740_992n + BigInt(index) : BigInt(index - 650))
/** Texts that differ by case, accents, or what they end with, and texts with odd characters. */
const odd = (index: number): string => {
  const word = `${['a', 'B', 'é', 'ß', 'Z', '_', '\u{1f600}', "o'"][index % 8]}${Math.floor(index / 8)}`
  return index % 3 === 0 ? word.toUpperCase() : `${word} ${index}`
}

interface Case extends OrdersTable {
  /** In as many processes at once; in one without. */
  readonly ranges?: number
}

const cases: Readonly<Record<string, Case>> = {
  'UUID, PostgreSQL': {
    ranges: 3,
    database: 'PostgreSQL',
    id: 'UUID PRIMARY KEY',
    card: 'JSONB',
    key: (index) => quoted(uuid(index)),
  },
  'BYTEA, and records as BYTEA, PostgreSQL': {
    database: 'PostgreSQL',
    id: 'BYTEA PRIMARY KEY',
    card: 'BYTEA',
    key: (index) =>
      `'\\x${index === 7 ? '' : digest(index).slice(0, 2 + (index % 15) * 2)}${index === 7 ? '' : index.toString(16).padStart(4, '0')}'`,
  },
  'BIGINT beyond 2^53 and below 0, PostgreSQL': {
    database: 'PostgreSQL',
    id: 'BIGINT PRIMARY KEY',
    card: 'VARCHAR(1000)',
    key: large,
  },
  'texts of a collation that knows no case, PostgreSQL': {
    database: 'PostgreSQL',
    prepare: `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    id: 'TEXT COLLATE nocase PRIMARY KEY',
    card: 'TEXT',
    key: (index) => quoted(odd(index)),
  },
  'CHAR(20), PostgreSQL': {
    database: 'PostgreSQL',
    id: 'CHAR(20) PRIMARY KEY',
    card: 'TEXT',
    key: (index) => quoted(odd(index)),
  },
  'NUMERIC and negative, PostgreSQL': {
    database: 'PostgreSQL',
    id: 'NUMERIC(30, 2) PRIMARY KEY',
    card: 'TEXT',
    key: (index) => `${large(index)}.${index % 10}5`,
  },
  'BINARY(16), MariaDB': {
    database: 'MariaDB',
    id: 'BINARY(16) PRIMARY KEY',
    card: 'BLOB',
    key: (index) => `x'${digest(index)}'`,
  },
  'VARBINARY, MariaDB': {
    database: 'MariaDB',
    id: 'VARBINARY(40) PRIMARY KEY',
    card: 'TEXT',
    key: (index) =>
      index === 7 ? "x''" : `x'${index.toString(16).padStart(4, '0')}${'00'.repeat(index % 5)}'`,
  },
  'UUID, MariaDB': {
    database: 'MariaDB',
    id: 'UUID PRIMARY KEY',
    card: 'JSON',
    key: (index) => quoted(uuid(index)),
  },
  'texts of a collation that knows no case nor accents, MariaDB': {
    ranges: 3,
    database: 'MariaDB',
    id: 'VARCHAR(40) COLLATE utf8mb4_general_ci PRIMARY KEY',
    card: 'TEXT',
    key: (index) => quoted(odd(index)),
  },
  'texts of another character set, MariaDB': {
    database: 'MariaDB',
    id: 'VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY',
    card: 'TEXT CHARACTER SET latin1',
    key: (index) => quoted(odd(index).replace('\u{1f600}', 'ü')),
  },
  'BIGINT UNSIGNED, MariaDB': {
    database: 'MariaDB',
    id: 'BIGINT UNSIGNED ZEROFILL PRIMARY KEY',
    card: 'TEXT',
    key: (index) => String(18_446_744_073_709_551_615n - BigInt(index)),
  },
  'DECIMAL beyond 2^53 and below 0, MariaDB': {
    database: 'MariaDB',
    id: 'DECIMAL(30, 2) PRIMARY KEY',
    card: 'TEXT',
    key: (index) => `${large(index)}.${index % 10}5`,
  },
  'integers beyond 2^53 and below 0, SQLite': {
    database: 'SQLite',
    id: 'INTEGER PRIMARY KEY',
    card: 'TEXT',
    key: large,
  },
  'texts without a row id, SQLite': {
    database: 'SQLite',
    id: 'TEXT PRIMARY KEY COLLATE NOCASE',
    card: 'BLOB',
    rest: 'WITHOUT ROWID',
    key: (index) => quoted(odd(index)),
  },
  'a column that knows no case with an index that does, SQLite': {
    ranges: 3,
    database: 'SQLite',
    id: 'TEXT NOT NULL COLLATE NOCASE',
    card: 'TEXT',
    rest: '; CREATE UNIQUE INDEX own ON orders (id COLLATE BINARY)',
    // Pairs that are the same but for their case, of which pages and ranges are to take none for the other.
    key: (index) =>
      quoted(`${index % 2 === 0 ? 'key' : 'KEY'} ${String(Math.floor(index / 2)).padStart(4, '0')}`),
  },
}

interface Refusal extends OrdersTable {
  readonly error: RegExp
}

const refusals: Readonly<Record<string, Refusal>> = {
  'ENUM, MariaDB': {
    database: 'MariaDB',
    id: "ENUM('z', 'y', 'x') PRIMARY KEY",
    card: 'TEXT',
    key: (index) => quoted('zyx'[index] ?? ''),
    error: /is of the type enum, by which rows cannot be gone through; it must be an integer/,
  },
  'a part of the key, MariaDB': {
    database: 'MariaDB',
    id: 'INT',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, number)',
    key: (index) => String(index),
    error: /"id" does not tell rows apart/,
  },
  'a part of the key, PostgreSQL': {
    database: 'PostgreSQL',
    id: 'INT',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, number)',
    key: (index) => String(index),
    error: /"id" does not tell rows apart/,
  },
  'floating-point numbers, SQLite': {
    database: 'SQLite',
    id: 'REAL PRIMARY KEY NOT NULL',
    card: 'TEXT',
    key: (index) => `0.1 + ${index}`,
    error: /is of the type REAL, by which rows cannot be gone through; it must be an integer or a text/,
  },
  'bytes in a column of texts, SQLite': {
    database: 'SQLite',
    id: 'TEXT PRIMARY KEY NOT NULL',
    card: 'TEXT',
    key: (index) => (index === 1 ? "x'00ff'" : quoted(String(index))),
    error: /is of the type BLOB/,
  },
  'integers in a column of bytes, SQLite': {
    database: 'SQLite',
    id: 'BLOB PRIMARY KEY NOT NULL',
    card: 'TEXT',
    key: (index) => String(index),
    error: /is of the type BLOB/,
  },
  'a record too long for its column, PostgreSQL': {
    database: 'PostgreSQL',
    id: 'INT PRIMARY KEY',
    card: 'VARCHAR(252)',
    key: (index) => String(index),
    error: /too long/,
  },
}

describe('reencrypt refuses, and changes nothing, with', { timeout: 120_000 }, () => {
  for (const [name, one] of Object.entries(refusals)) {
    test(name, async (context) => {
      const { folder, place, config } = await openOrders(context, one)
      // New records name a longer key than the old ones.
      folder.write('asherah.json', { ...config, regionSuffix: 'us-west-2' })
      await seedOrders(config, place, one, 3)
      const before = await place.run(readBack(one))
      const { code, stderr } = await folder.run(...orderFlags(one), '--older-than', '90d', '--yes')
      assert.match(stderr, one.error)
      assert.equal(code, 1)
      assert.deepEqual(await place.run(readBack(one)), before)
    })
  }

  for (const [database, card] of [
    ['PostgreSQL', 'BYTEA'],
    ['MariaDB', 'BLOB'],
    ['SQLite', 'BLOB'],
  ] as const) {
    test(`bytes that are no text, ${database}: they stay, and the others are sealed anew`, async (context) => {
      const one: OrdersTable = { database, card, id: 'INT PRIMARY KEY', key: String }
      const { folder, place, config } = await openOrders(context, one)
      await seedOrders(config, place, one, 3)
      const spoilt = database === 'PostgreSQL' ? "'\\xff00fe'" : "x'ff00fe'"
      await place.run(`UPDATE orders SET card = ${spoilt} WHERE id = 1`)
      const { code, stdout, stderr } = await folder.run(
        ...orderFlags(one),
        '--older-than',
        '90d',
        '--yes',
        '--json',
      )
      assert.equal(code, 4, stderr)
      const { renewed, unreadable } = jsonLines(stdout).at(-1) ?? {}
      assert.deepEqual([renewed, unreadable], [2, 1])
      assert.deepEqual(jsonLines(stderr), [
        { note: 'left as it is: the row "1", column "card": it is no record' },
      ])
      assert.deepEqual(await place.run(`SELECT id FROM orders WHERE card = ${spoilt}`), ['1'])
    })
  }
})

describe('reencrypt by keys that are', { timeout: 240_000 }, () => {
  for (const [name, one] of Object.entries(cases)) {
    test(name, (context) => renewOrders(context, one, rows, one.ranges))
  }
})
