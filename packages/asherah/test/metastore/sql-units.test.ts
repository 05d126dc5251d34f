import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { parseConnectionString } from '../../src/config/connection-string.ts'
import type { DatabaseConnection } from '../../src/config/database-connection.ts'
import { importDriver } from '../../src/driver.ts'
import { AsherahError } from '../../src/errors.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { mysqlClientConfig } from '../../src/metastore/mysql/mysql-driver.ts'
import { mysqlErrors } from '../../src/metastore/mysql/mysql-errors.ts'
import { load, loadLatestMany, store } from '../../src/metastore/mysql/mysql-statements.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { postgresClientConfig } from '../../src/metastore/postgres/postgres-client-config.ts'
import { postgresErrors } from '../../src/metastore/postgres/postgres-errors.ts'
import { withDeadline } from '../../src/metastore/sql/deadline.ts'
import { checkOptions } from '../../src/metastore/sql/sql-options.ts'
import { SqlRunner } from '../../src/metastore/sql/sql-runner.ts'
import {
  firstSecondOfYear1,
  firstSecondOfYear1000,
  fromUtcText,
  lastSecondOfYear9999,
  toUtcText,
} from '../../src/metastore/sql/utc-time.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'

function connection(text: string): DatabaseConnection {
  const parsed = parseConnectionString(text)
  assert.ok(!('problem' in parsed) && parsed.dialect !== 'sqlite')
  return parsed
}

function isConfigError(message: RegExp, secret = 'hunter2') {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError && error.code === 'ERR_CONFIG_INVALID', inspect(error))
    assert.match(error.message, message)
    assert.ok(!inspect(error, { depth: 9 }).includes(secret))
    return true
  }
}

describe('importDriver', () => {
  test('names the command for a package that is not there', async () => {
    await assert.rejects(importDriver('asherah-no-such-driver'), {
      code: 'ERR_DRIVER_MISSING',
      message: /"npm install asherah-no-such-driver"/,
    })
  })

  test('passes on what is wrong inside of a package that is there', async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'asherah-driver-'))
    context.after(() => rmSync(folder, { recursive: true }))
    const file = (name: string, text: string): string => {
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const needing = file('needing.mjs', "import 'asherah-no-such-dependency'")
    await assert.rejects(importDriver(needing), { code: 'ERR_MODULE_NOT_FOUND' })
    const throwing = file('throwing.mjs', "throw new RangeError('from the driver')")
    await assert.rejects(importDriver(throwing), RangeError)
  })

  test('gives the exports of ES modules and of CommonJS alike', async () => {
    const pg = await importDriver<{ readonly Client: unknown }>('pg')
    const mysql = await importDriver<{ readonly createConnection: unknown }>('mysql2')
    assert.deepEqual([typeof pg.Client, typeof mysql.createConnection], ['function', 'function'])
  })
})

describe('createTable', () => {
  test('gives what docs/metastores.md shows', () => {
    const page = readFileSync(new URL('../../../../docs/metastores.md', import.meta.url), 'utf8')
    for (const dialect of ['postgres', 'mysql'] as const)
      assert.ok(page.includes(`${createTable(dialect)};`), dialect)
    assert.equal(
      createTable('mariadb'),
      createTable('mysql').replace('utf8mb4_0900_bin', 'utf8mb4_nopad_bin'),
    )
  })

  test('makes for SQLite the table that the store uses', () => {
    const database = new DatabaseSync(':memory:')
    database.exec(createTable('sqlite'))
    const metastore = SqliteMetastore.fromDatabase(database)
    const record = { created: 60, encryptedKey: Uint8Array.of(1) }
    assert.equal(metastore.store('_SK_a', 60, record), true)
    assert.deepEqual(metastore.loadLatest('_SK_a'), record)
    database.close()
  })
})

describe('UTC text', () => {
  test('is read back as the same second, and no other', () => {
    const seconds = fc.integer({ min: firstSecondOfYear1, max: lastSecondOfYear9999 })
    fc.assert(
      fc.property(seconds, (second) => {
        const text = toUtcText(second, firstSecondOfYear1)
        assert.match(text ?? '', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
        assert.equal(fromUtcText(text ?? ''), second)
        assert.equal(fromUtcText(`${text}.000000`), second)
      }),
    )
  })

  test('stops at its first and last second', () => {
    for (const first of [firstSecondOfYear1, firstSecondOfYear1000]) {
      assert.match(toUtcText(first, first) ?? '', /^(?:0001|1000)-01-01 00:00:00$/)
      for (const second of [first - 1, lastSecondOfYear9999 + 1, 0.5, Number.NaN, 2 ** 60]) {
        assert.equal(toUtcText(second, first), undefined)
      }
    }
    assert.equal(toUtcText(lastSecondOfYear9999, 0), '9999-12-31 23:59:59')
  })

  test('of another form is refused', () => {
    for (const text of [
      '',
      '2026-11-22',
      '2026-11-22T02:50:00',
      '2026-11-22 02:50:00Z',
      '2026-02-30 00:00:00',
      '2026-11-22 02:50:00.5',
      '2026-11-22 24:00:00',
      '0000-00-00 00:00:00',
      'Infinity',
    ]) {
      assert.equal(fromUtcText(text), undefined, text)
    }
  })
})

describe('MySQL statements', () => {
  test('hold nothing of a value but hexadecimal digits', () => {
    const shape = load('', '').replace("x''", "x'…'")
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), (id, text) => {
        for (const value of [id, text, `'; DROP TABLE encryption_key; -- ${id}`, `\\' OR 1 = 1 -- ${text}`]) {
          assert.equal(load(value, '').replace(/x'[0-9a-f]*'/, "x'…'"), shape)
          assert.match(store(value, '2026-11-22 02:50:00', value), /^[ -~]+$/)
          const [, hex = 'none'] = /id = _utf8mb4 x'([0-9a-f]*)'/.exec(loadLatestMany([value])) ?? []
          assert.equal(Buffer.from(hex, 'hex').toString(), Buffer.from(value).toString())
        }
      }),
    )
  })
})

describe('options of the SQL metastores', () => {
  test('have defaults', () => {
    assert.deepEqual(checkOptions({}), {
      replicaReadConsistency: undefined,
      connectTimeoutMs: 5_000,
      queryTimeoutMs: 10_000,
      pool: { maxOpen: 0, maxIdle: 2, maxLifetimeSeconds: 0, maxIdleTimeSeconds: 0 },
    })
  })

  test('are refused where they make no sense', async () => {
    for (const options of [
      { connectTimeoutMs: 0 },
      { queryTimeoutMs: 2 ** 31 },
      { queryTimeoutMs: 1.5 },
      { pool: { maxOpen: -1 } },
      { pool: { maxIdle: Number.NaN } },
      { pool: { maxIdleTimeSeconds: Number.POSITIVE_INFINITY } },
      { replicaReadConsistency: 'strong' as 'session' },
    ]) {
      await assert.rejects(PostgresMetastore.connect('postgres://h/d', options), isConfigError(/must be/))
      await assert.rejects(MysqlMetastore.connect('mysql://h/d', options), isConfigError(/must be/))
    }
  })

  test('take no connection string of another database, and quote none', async () => {
    for (const text of [
      'mysql://u:hunter2@h/d',
      'u:hunter2@tcp(h)/d',
      'sqlite://hunter2',
      'postgres://u:hunter2@h:x/d',
    ]) {
      await assert.rejects(PostgresMetastore.connect(text), isConfigError(/connection string/), text)
    }
    for (const text of ['postgres://u:hunter2@h/d', 'host=h password=hunter2', 'mysql://u:hunter2@h:x/d']) {
      await assert.rejects(MysqlMetastore.connect(text), isConfigError(/connection string/), text)
    }
  })

  test('show no password of a store that is printed', async () => {
    const stores = [
      await PostgresMetastore.connect('postgres://u:hunter2@h/d'),
      await MysqlMetastore.connect('u:hunter2@tcp(h)/d'),
    ]
    for (const shown of stores) {
      assert.ok(!inspect(shown, { depth: 20, showHidden: true }).includes('hunter2'))
      await shown.close()
    }
  })
})

describe('parameters of a Postgres connection string', () => {
  const config = (parameters: string) =>
    postgresClientConfig(connection(`postgres://u:hunter2@h/d?${parameters}`))
  const kindsOf = (parameters: string) =>
    config(parameters).ways.map((way) => {
      const { ssl } = (way?.config ?? assert.fail()) as { ssl: false | { rejectUnauthorized: boolean } }
      if (ssl === false) return 'plaintext'
      return ssl.rejectUnauthorized ? 'verified TLS' : 'TLS'
    })

  test('are passed on', () => {
    const { ways, connectTimeoutMs } = config(
      'sslmode=disable&application_name=a&options=-c%20x%3D1&connect_timeout=3&keepalives=1&target_session_attrs=any',
    )
    assert.equal(connectTimeoutMs, 3000)
    assert.deepEqual(ways, [
      {
        config: {
          host: 'h',
          port: 5432,
          user: 'u',
          password: 'hunter2',
          database: 'd',
          ssl: false,
          enableChannelBinding: false,
          keepAlive: true,
          application_name: 'a',
          options: '-c x=1',
        },
      },
    ])
    assert.equal(config('connect_timeout=0').connectTimeoutMs, undefined)
    const [{ config: direct }] = config('sslmode=verify-full&sslnegotiation=direct').ways
    assert.equal((direct as { sslnegotiation?: unknown }).sslnegotiation, 'direct')
  })

  for (const [parameters, expected] of [
    ['', ['TLS', 'plaintext']],
    ['sslmode=prefer', ['TLS', 'plaintext']],
    ['sslmode=allow', ['plaintext', 'TLS']],
    ['sslmode=disable', ['plaintext']],
    ['ssl=false', ['plaintext']],
    ['sslmode=require', ['TLS']],
    ['sslmode=verify-ca', ['verified TLS']],
    ['sslmode=verify-full', ['verified TLS']],
    ['ssl=true', ['verified TLS']],
    ['host=%2Frun%2Fpostgresql', ['plaintext']],
  ] as const) {
    test(`${parameters || 'nothing said'} tries ${expected.join(', then ')}`, () => {
      assert.deepEqual(kindsOf(parameters), expected)
    })
  }

  for (const [parameters, expected] of [
    ['sslmod=verify-full', /not known/],
    ['pgbouncer=true', /not known/],
    ['connect_timeout=soon', /connect_timeout/],
    ['gssencmode=require', /GSSAPI/],
    ['sslrootcert=/etc/ca.pem', /no sslmode that would use it/],
    ['sslmode=prefer&sslrootcert=/etc/ca.pem', /no sslmode that would use it/],
    ['sslmode=allow&sslrootcert=/etc/ca.pem', /no sslmode that would use it/],
    ['sslmode=prefer&sslnegotiation=direct', /needs an sslmode that demands TLS/],
    ['sslnegotiation=direct', /needs an sslmode that demands TLS/],
    ['sslmode=verify-full&sslcert=/x', /give both/],
    ['sslmode=verify-full&sslrootcert=/nowhere/hunter2.pem', /sslrootcert.*ENOENT/],
    ['sslmode=require&sslrootcert=system', /needs sslmode=verify-full/],
    ['sslmode=require&channel_binding=require', /only safe here with sslmode=verify-full/],
  ] as const) {
    test(`refuses ${parameters}`, () => {
      assert.throws(() => config(parameters), isConfigError(expected))
    })
  }
})

describe('parameters of a MySQL connection string', () => {
  const config = (parameters: string) =>
    mysqlClientConfig(connection(`mysql://u:hunter2@h/d?${parameters}`)).options

  test('of the Go driver mean nothing, and those of the MySQL command what they say', () => {
    assert.ok(!('ssl' in config('charset=utf8&parseTime=true&loc=Local&collation=x')))
    const ssl = (parameters: string) => (config(parameters) as { ssl?: object }).ssl
    assert.equal(ssl('ssl-mode=disabled'), undefined)
    const minVersion = 'TLSv1.2'
    assert.deepEqual(ssl('tls=skip-verify'), { rejectUnauthorized: false, verifyIdentity: false, minVersion })
    assert.deepEqual(ssl('ssl-mode=REQUIRED'), {
      rejectUnauthorized: false,
      verifyIdentity: false,
      minVersion,
    })
    assert.deepEqual(ssl('ssl-mode=VERIFY_CA'), {
      rejectUnauthorized: true,
      verifyIdentity: false,
      minVersion,
    })
    for (const verified of ['tls=true', 'tls=preferred', 'tls=custom', 'tls=true&ssl-mode=VERIFY_IDENTITY']) {
      assert.deepEqual(
        ssl(verified),
        { rejectUnauthorized: true, verifyIdentity: true, minVersion },
        verified,
      )
    }
  })

  test('leave the driver no way to send a file of this host', () => {
    assert.deepEqual((config('') as { flags?: unknown }).flags, ['-LOCAL_FILES'])
  })

  for (const [parameters, expected] of [
    ['useSSL=true', /not known/],
    ['sslmode=verify-full', /not known/],
    ['ssl-mode=PREFERRED', /ssl-mode that is none of/],
    ['tls=false&ssl-mode=REQUIRED', /a tls and another ssl-mode/],
    ['ssl-ca=/etc/ca.pem', /no tls that would use it/],
    ['tls=true&ssl-key=/x', /give both/],
    ['tls=true&ssl-ca=/nowhere/hunter2.pem', /ssl-ca.*ENOENT/],
  ] as const) {
    test(`refuses ${parameters}`, () => {
      assert.throws(() => config(parameters), isConfigError(expected))
    })
  }
})

describe('a deadline', () => {
  test('passes on what comes in time, and ignores what comes later', async () => {
    const never = (): void => assert.fail('the time was not over')
    assert.equal(await withDeadline(Promise.resolve(1), 1000, '', never), 1)
    await assert.rejects(withDeadline(Promise.reject(new RangeError('x')), 1000, '', never), RangeError)
    let freed = 0
    let fail: (error: Error) => void = () => {}
    const late = new Promise<never>((_, reject) => {
      fail = reject
    })
    await assert.rejects(
      withDeadline(late, 10, 'too late', () => {
        freed += 1
      }),
      { code: 'ERR_TIMEOUT', message: 'too late' },
    )
    fail(new Error('an error that nobody waits for'))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(freed, 1)
  })
})

describe('a statement that the server undoes for the sake of another one', () => {
  const connection = {
    usable: true,
    query: async () => ({ rows: [], affected: 0 }),
    onBroken() {},
    async end() {},
    destroy() {},
    keepsAlive() {},
  }
  const source = {
    acquire: async () => ({ connection, reused: false, release() {} }),
    async close() {},
  }
  for (const [errors, error, undone] of [
    [postgresErrors, { code: '40P01' }, true],
    [postgresErrors, { code: '40001' }, true],
    [postgresErrors, { code: '23505' }, false],
    [mysqlErrors, { errno: 1213 }, true],
    [mysqlErrors, { errno: 1205 }, false],
  ] as const) {
    test(`${errors.label}, ${JSON.stringify(error)}: is ${undone ? '' : 'not '}tried again, and not for ever`, async () => {
      const runner = new SqlRunner(source, errors, 1000)
      const attempts = async (failures: number): Promise<number> => {
        let count = 0
        const answer = runner.run('written', async () => {
          count += 1
          if (count <= failures) throw Object.assign(new Error('undone'), error)
          return true
        })
        if (undone && failures < 10) assert.equal(await answer, true)
        else await assert.rejects(answer, { code: 'ERR_METASTORE' })
        return count
      }
      assert.equal(await attempts(2), undone ? 3 : 1)
      assert.equal(await attempts(100), undone ? 10 : 1)
    })
  }
})
