import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { orderFlags, renewOrders } from './orders-renewal.ts'
import { type OrdersTable, openOrders, quoted, readBack, seedOrders } from './orders-table.ts'

/** Tables whose keys are of several columns: ranges of them, in a process each, go over every row once. */

/** More than a page of any database, so that pages end inside of what has the same first column, and between. */
const rows = 1_300
const ranges = 3

const digest = (index: number): string => createHash('md5').update(String(index)).digest('hex')
const uuid = (index: number): string => digest(index).replace(/^(.{8})(.{4}).(.{3}).(.{3})/, '$1-$2-4$3-a$4-')
/** Around 2^53, above which JavaScript's numbers are not exact, and around 0. */
const large = (index: number): string =>
  String(index % 2 === 0 ? 9_007_199_254_740_992n + BigInt(index) : BigInt(index - 650))
const names = [
  '["a","1"]',
  'o\'neil, "b"',
  'back\\slash\\',
  'é\u{1f600}',
  'A',
  'b',
  '-C',
  '',
  ' {}\n$(x) `y`',
]
/** Few texts, with whatever could end a key, a word of a shell, or a literal. */
const name = (index: number): string => names[index % names.length] ?? ''
/** MariaDB takes a backslash in a literal for a sign of its own. */
const inMariaDb = (text: string): string => `_utf8mb4 x'${Buffer.from(text).toString('hex')}'`

const cases: Readonly<Record<string, OrdersTable>> = {
  'a text and an integer, PostgreSQL': {
    database: 'PostgreSQL',
    keyColumns: ['id', 'place'],
    id: 'TEXT, place BIGINT',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `${quoted(name(index))}, ${large(index)}`,
  },
  'a UUID and a time, PostgreSQL': {
    database: 'PostgreSQL',
    keyColumns: ['id', 'at'],
    id: 'UUID, at TIMESTAMPTZ',
    card: 'JSONB',
    constraint: 'PRIMARY KEY (id, at)',
    key: (index) =>
      `'${uuid(index % 11)}', timestamptz '2026-03-29 00:59:59Z' + interval '${index} milliseconds'`,
  },
  'an ENUM, a date and a list, PostgreSQL': {
    database: 'PostgreSQL',
    prepare: "CREATE TYPE tier AS ENUM ('z', 'y', 'x')",
    keyColumns: ['id', 'day', 'places'],
    id: 'tier, day DATE, places TEXT[]',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, day, places)',
    key: (index) =>
      `'${'xyz'[index % 3]}', date '2026-01-01' + ${index % 10}, ARRAY[${quoted(name(index))}, '${index}']`,
  },
  'a text that knows no case, bytes and a number, PostgreSQL': {
    database: 'PostgreSQL',
    prepare: `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`,
    keyColumns: ['id', 'part', 'place'],
    id: 'VARCHAR(40) COLLATE nocase, part BYTEA, place NUMERIC(30, 2)',
    card: 'BYTEA',
    constraint: 'PRIMARY KEY (id, part, place)',
    key: (index) =>
      `${quoted(['ab', 'Ab', 'é', 'É', 'b'][index % 5] ?? '')}, '\\x${digest(index % 40).slice(0, (index % 4) * 2)}', ${large(index)}.5`,
  },
  'a unique index with another column at its end, PostgreSQL': {
    database: 'PostgreSQL',
    keyColumns: ['place', 'id'],
    id: 'CHAR(20) NOT NULL, place SMALLINT NOT NULL',
    card: 'TEXT',
    constraint: 'UNIQUE (place, id) INCLUDE (number)',
    key: (index) => `${index % 7}, ${quoted(`${name(index)}${index}`.slice(0, 20))}`,
  },
  'a text that knows no case nor accents and an integer, MariaDB': {
    database: 'MariaDB',
    keyColumns: ['id', 'place'],
    id: 'VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, place BIGINT',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, place), INDEX (id)',
    key: (index) => `${inMariaDb(name(index))}, ${large(index)}`,
  },
  'bytes and a number, MariaDB': {
    database: 'MariaDB',
    keyColumns: ['id', 'place'],
    id: 'VARBINARY(16), place DECIMAL(30, 2)',
    card: 'BLOB',
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `x'${digest(index % 9).slice(0, (index % 9) * 2)}', ${large(index)}.25`,
  },
  'an integer, a text of another character set and a UUID, MariaDB': {
    database: 'MariaDB',
    keyColumns: ['place', 'id', 'part'],
    id: 'VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci, place TINYINT, part UUID',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (place, id, part)',
    key: (index) =>
      `${(index % 4) - 2}, ${inMariaDb(['ä', 'ae', 'Z', "o'", '\\'][index % 5] ?? '')}, '${uuid(index)}'`,
  },
  'a text and an integer, SQLite': {
    database: 'SQLite',
    keyColumns: ['id', 'place'],
    id: 'TEXT, place INTEGER',
    card: 'TEXT',
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `${quoted(name(index))}, ${large(index)}`,
  },
  'an integer and texts that know no case, without a row id, SQLite': {
    database: 'SQLite',
    keyColumns: ['place', 'id', 'part'],
    id: 'TEXT COLLATE NOCASE, place INTEGER, part VARCHAR(40) COLLATE NOCASE',
    card: 'BLOB',
    constraint: 'PRIMARY KEY (place, id, part)',
    rest: 'WITHOUT ROWID',
    key: (index) => `${(index % 5) - 2}, ${quoted(name(index))}, '${index % 2 === 0 ? 'k' : 'K'}${index}'`,
  },
  'columns that know no case with an index that does, SQLite': {
    database: 'SQLite',
    keyColumns: ['id', 'part'],
    id: 'TEXT NOT NULL COLLATE NOCASE, part TEXT NOT NULL COLLATE NOCASE',
    card: 'TEXT',
    rest: '; CREATE UNIQUE INDEX own ON orders (id COLLATE BINARY, part COLLATE BINARY)',
    key: (index) =>
      `'${index % 2 === 0 ? 'x' : 'X'}', '${index % 3 === 0 ? 'KEY' : 'key'} ${String(Math.floor(index / 2)).padStart(4, '0')}'`,
  },
}

/** How many rows of the table the server has read. */
const readRows: Readonly<
  Record<string, { readonly begin: string; readonly count: string; readonly rows: number }>
> = {
  'a text and an integer, PostgreSQL': {
    // A table this small is cheaper to read as a whole, by the planner's costs.
    begin: `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$`,
    count: `SELECT sum(seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'orders'))
      FROM pg_stat_user_tables WHERE relname = 'orders'`,
    rows: 12_000,
  },
  'a text that knows no case nor accents and an integer, MariaDB': {
    begin: 'SET GLOBAL userstat = 1',
    count: `SELECT rows_read FROM information_schema.table_statistics
      WHERE table_schema = DATABASE() AND table_name = 'orders'`,
    rows: 3_000,
  },
}

interface Refusal extends OrdersTable {
  readonly error: RegExp
  readonly hint: string
}

const common = {
  keyColumns: ['id', 'place'],
  card: 'TEXT',
  key: (index: number): string => `${index}, ${index}`,
}
const notUnique = {
  error: /the columns "id", "place" do not tell rows apart: they are no primary key, nor unique together/,
  hint: '--key-column NAME,NAME',
}
const anotherOrder = {
  error: /the columns "id", "place" are a key in another order/,
  hint: '--key-column place,id',
}

const refusals: Readonly<Record<string, Refusal>> = {
  'rows that nothing tells apart, PostgreSQL': {
    ...common,
    database: 'PostgreSQL',
    id: 'INT NOT NULL, place INT NOT NULL',
    constraint: 'UNIQUE (id, place, number)',
    ...notUnique,
  },
  'an index with a condition, PostgreSQL': {
    ...common,
    database: 'PostgreSQL',
    id: 'INT NOT NULL, place INT NOT NULL',
    rest: '; CREATE UNIQUE INDEX own ON orders (id, place) WHERE number > 0',
    ...notUnique,
  },
  'an index over an expression, PostgreSQL': {
    ...common,
    database: 'PostgreSQL',
    id: 'INT NOT NULL, place INT NOT NULL',
    rest: '; CREATE UNIQUE INDEX own ON orders (id, place, (number + 1))',
    ...notUnique,
  },
  'a column that may be NULL, PostgreSQL': {
    ...common,
    database: 'PostgreSQL',
    id: 'INT NOT NULL, place INT',
    constraint: 'UNIQUE (id, place)',
    ...notUnique,
  },
  'another order, PostgreSQL': {
    ...common,
    database: 'PostgreSQL',
    id: 'INT, place INT',
    constraint: 'PRIMARY KEY (place, id)',
    ...anotherOrder,
  },
  'an index over a part of a text, MariaDB': {
    ...common,
    database: 'MariaDB',
    id: 'VARCHAR(40) NOT NULL, place INT NOT NULL',
    constraint: 'UNIQUE (id(4), place)',
    ...notUnique,
  },
  'a column that may be NULL, MariaDB': {
    ...common,
    database: 'MariaDB',
    id: 'INT NOT NULL, place INT',
    constraint: 'UNIQUE (id, place)',
    ...notUnique,
  },
  'another order, MariaDB': {
    ...common,
    database: 'MariaDB',
    id: 'INT, place INT',
    constraint: 'PRIMARY KEY (place, id)',
    ...anotherOrder,
  },
  'a type whose order is not that of its texts, MariaDB': {
    ...common,
    database: 'MariaDB',
    id: "INT, place ENUM('0', '1', '2')",
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `${index}, '${index}'`,
    error: /the key column "place" is of the type enum, by which rows cannot be gone through/,
    hint: '--key-column NAME',
  },
  'a NULL in a primary key, SQLite': {
    ...common,
    database: 'SQLite',
    id: 'INT, place INT',
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `${index}, NULL`,
    ...notUnique,
  },
  'an index with a condition, SQLite': {
    ...common,
    database: 'SQLite',
    id: 'INT NOT NULL, place INT NOT NULL',
    rest: '; CREATE UNIQUE INDEX own ON orders (id, place) WHERE number > 0',
    ...notUnique,
  },
  'floating-point numbers, SQLite': {
    ...common,
    database: 'SQLite',
    id: 'INT, place REAL',
    constraint: 'PRIMARY KEY (id, place)',
    key: (index) => `${index}, 0.1 + ${index}`,
    error: /the key column "place" is of the type REAL, by which rows cannot be gone through/,
    hint: '--key-column NAME',
  },
  'a column without a type, SQLite': {
    ...common,
    database: 'SQLite',
    id: 'INT, place',
    constraint: 'PRIMARY KEY (id, place)',
    error: /the key column "place" is of the type of any value/,
    hint: '--key-column NAME',
  },
}

describe('reencrypt refuses, and changes nothing, with several key columns and', { timeout: 120_000 }, () => {
  for (const [title, one] of Object.entries(refusals)) {
    test(title, async (context) => {
      const { folder, place, config } = await openOrders(context, one)
      await seedOrders(config, place, one, 3)
      const before = await place.run(readBack(one))
      const { code, stderr } = await folder.run(...orderFlags(one), '--older-than', '90d', '--yes')
      assert.match(stderr, one.error)
      assert.ok(stderr.includes(`hint: ${one.hint}\n`), stderr)
      assert.equal(code, 1)
      assert.deepEqual(await place.run(readBack(one)), before)
    })
  }
})

describe('reencrypt by keys that are', { timeout: 240_000 }, () => {
  for (const [title, one] of Object.entries(cases)) {
    test(title, (context) => renewOrders(context, one, rows, ranges))
  }
})

describe('reencrypt begins each page inside of the index, by', { timeout: 120_000 }, () => {
  for (const [title, { begin, count, rows }] of Object.entries(readRows)) {
    test(title, async (context) => {
      const one = cases[title]
      assert.ok(one !== undefined)
      const { folder, place, config } = await openOrders(context, one)
      await place.run(begin)
      await seedOrders(config, place, one, rows)
      const { code, stderr } = await folder.run(...orderFlags(one), '--older-than', '90d', '--yes')
      assert.equal(code, 0, stderr)
      // The server counts when the connection is at its end, which may be after the command's.
      let read = 0
      while (read < rows) {
        await pause(50)
        read = Number((await place.run(count))[0])
      }
      // Each is read for its page, to be held, and to be replaced, on MariaDB 4.7 times; from the start of the index it would
      // be 12 times and more.
      assert.ok(read < rows * 6, `${read} of ${rows} rows`)
      context.diagnostic(`${read} rows were read of ${rows}`)
    })
  }
})
