import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseConnectionString } from '../../src/config/connection-string.ts'

type Dialect = 'mysql' | 'postgres' | undefined

const mysql = { dialect: 'mysql', tls: 'off', tlsGiven: false, parameters: {} } as const
const postgres = { dialect: 'postgres', tls: 'prefer', tlsGiven: false, parameters: {} } as const
const account = { user: 'u', password: 'p' }

describe('parseConnectionString', () => {
  const tables: [string, Dialect, object][] = [
    ['mysql://u:p@h:3307/d', undefined, { ...mysql, ...account, host: 'h', port: 3307, database: 'd' }],
    ['MySQL://u:p@h/d', undefined, { ...mysql, ...account, host: 'h', port: 3306, database: 'd' }],
    ['mysql://u@h', undefined, { ...mysql, user: 'u', host: 'h', port: 3306 }],
    [
      'mysql://u:@h/d',
      undefined,
      { ...mysql, user: 'u', password: '', host: 'h', port: 3306, database: 'd' },
    ],
    ['mysql://[::1]:3307/d', undefined, { ...mysql, host: '::1', port: 3307, database: 'd' }],
    [
      'mysql://u:%40%2F@h/d',
      undefined,
      { ...mysql, user: 'u', password: '@/', host: 'h', port: 3306, database: 'd' },
    ],
    [
      'mysql://u:a@b@h/d',
      undefined,
      { ...mysql, user: 'u', password: 'a@b', host: 'h', port: 3306, database: 'd' },
    ],
    [
      'mysql://u:p@h/d?tls=true&charset=utf8mb4&x=a%26b+c',
      undefined,
      {
        ...mysql,
        ...account,
        host: 'h',
        port: 3306,
        database: 'd',
        tls: 'verify-full',
        tlsGiven: true,
        parameters: { charset: 'utf8mb4', x: 'a&b c' },
      },
    ],
    ['u:p@tcp(h)/d', undefined, { ...mysql, ...account, host: 'h', port: 3306, database: 'd' }],
    ['u:p@tcp(h:1)/d', 'postgres', { ...mysql, ...account, host: 'h', port: 1, database: 'd' }],
    ['mysql://u:p@tcp(h:1)/d', undefined, { ...mysql, ...account, host: 'h', port: 1, database: 'd' }],
    ['u:p@tcp([fe80::1]:7)/d', undefined, { ...mysql, ...account, host: 'fe80::1', port: 7, database: 'd' }],
    [
      'u:p@tcp(x)/y@tcp(h)/d',
      undefined,
      { ...mysql, user: 'u', password: 'p@tcp(x)/y', host: 'h', port: 3306, database: 'd' },
    ],
    ['u:p@tcp()/d', undefined, { ...mysql, ...account, host: '127.0.0.1', port: 3306, database: 'd' }],
    ['tcp(h)/', undefined, { ...mysql, host: 'h', port: 3306 }],
    [
      'u:p@unix(/run/my.sock)/d',
      undefined,
      { ...mysql, ...account, socketPath: '/run/my.sock', database: 'd' },
    ],
    ['u:p@/d', 'mysql', { ...mysql, ...account, host: '127.0.0.1', port: 3306, database: 'd' }],
    ['u:p@h:5/d', 'mysql', { ...mysql, ...account, host: 'h', port: 5, database: 'd' }],
    [
      'u:p@tcp(h)/d?tls=skip-verify&parseTime=true&loc=UTC&collation=x&timeout=5s&mine=a%2Bb',
      undefined,
      {
        ...mysql,
        ...account,
        host: 'h',
        port: 3306,
        database: 'd',
        tls: 'unverified',
        tlsGiven: true,
        parameters: { mine: 'a+b' },
      },
    ],
    [
      'u:p@tcp(h)/d?attributes=a@b',
      undefined,
      { ...mysql, ...account, host: 'h', port: 3306, database: 'd', parameters: { attributes: 'a@b' } },
    ],
    ['postgres://u:p@h:5433/d', undefined, { ...postgres, ...account, host: 'h', port: 5433, database: 'd' }],
    ['PostgreSQL://u:p@h/d', 'mysql', { ...postgres, ...account, host: 'h', port: 5432, database: 'd' }],
    ['postgres:///d', undefined, { ...postgres, host: 'localhost', port: 5432, database: 'd' }],
    [
      'postgres://u:p@%2Frun%2Fpg:5433/d',
      undefined,
      { ...postgres, ...account, socketPath: '/run/pg', port: 5433, database: 'd' },
    ],
    [
      'postgres:///d?host=/run/pg&user=u&password=p%40+',
      undefined,
      { ...postgres, user: 'u', password: 'p@+', socketPath: '/run/pg', port: 5432, database: 'd' },
    ],
    [
      'postgres://h/d?sslmode=verify-ca&application_name=x',
      undefined,
      {
        ...postgres,
        host: 'h',
        port: 5432,
        database: 'd',
        tls: 'verify-ca',
        tlsGiven: true,
        parameters: { application_name: 'x' },
      },
    ],
    ['u:p@h/d', 'postgres', { ...postgres, ...account, host: 'h', port: 5432, database: 'd' }],
    [
      "host=h port = 5433 user=u password='a \\'b\\\\c' dbname=d sslmode=require",
      undefined,
      {
        ...postgres,
        user: 'u',
        password: "a 'b\\c",
        host: 'h',
        port: 5433,
        database: 'd',
        tls: 'unverified',
        tlsGiven: true,
      },
    ],
    ['host=/run/pg dbname=d', undefined, { ...postgres, socketPath: '/run/pg', port: 5432, database: 'd' }],
    [
      "user=u password='' dbname=d\\ e",
      undefined,
      { ...postgres, user: 'u', host: 'localhost', port: 5432, database: 'd e' },
    ],
    [
      'connect_timeout=3 host=h',
      'postgres',
      { ...postgres, host: 'h', port: 5432, parameters: { connect_timeout: '3' } },
    ],
    ['sqlite://x/y.db', undefined, { dialect: 'sqlite', path: 'x/y.db' }],
    ['SQLITE:///x.db', 'mysql', { dialect: 'sqlite', path: '/x.db' }],
  ]
  for (const [text, dialect, expected] of tables) {
    it(`${text}${dialect === undefined ? '' : ` (${dialect})`}`, () => {
      assert.deepEqual(parseConnectionString(text, dialect), expected)
    })
  }

  const refused: [string, Dialect, RegExp][] = [
    ['', undefined, /none of the known forms/],
    ['what', undefined, /none of the known forms/],
    ['u:p@h/d', undefined, /none of the known forms/],
    ['oracle://u:p@h/d', undefined, /none of the known forms/],
    ['mysql://u:p/w@h/d', undefined, /port|reserved/],
    ['mysql://u:12/w@h/d', undefined, /reserved/],
    ['mysql://u:12/w@h', undefined, /reserved/],
    ['mysql://u:12?w@h/d', undefined, /reserved/],
    ['mysql://u:p#w@h/d', undefined, /raw #/],
    ['mysql://u:p%w@h/d', undefined, /%25/],
    ['mysql://u:%00@h/d', undefined, /NUL/],
    ['mysql://u:p@h:0/d', undefined, /port/],
    ['mysql://u:p@h:65536/d', undefined, /port/],
    ['mysql://u:p@h:x/d', undefined, /port/],
    ['mysql://u:p@h1,h2/d', undefined, /several hosts/],
    ['mysql://u:p@ho st/d', undefined, /host name/],
    ['mysql://u:p@[::1/d', undefined, /address/],
    ['u:p@unix()/d', undefined, /path of the socket/],
    ['u:p@tcp(h)d', undefined, /after the address/],
    ['u:p@tcp(h/d', undefined, /after the address/],
    ['postgres://u:p@h1:1,h2:2/d', undefined, /several hosts/],
    ['host=a,b', undefined, /several hosts/],
    ['host=h hostaddr=1.2.3.4', undefined, /both host and hostaddr/],
    ['postgres://h/d?sslmode=maybe', undefined, /sslmode/],
    ["host=h password='open", undefined, /key=value/],
    ['host=h password', undefined, /key=value/],
    ['host=h password=a\\', undefined, /key=value/],
    ['sqlite://', undefined, /no path/],
  ]
  for (const [text, dialect, expected] of refused) {
    it(`refuses ${text === '' ? 'nothing' : text}`, () => {
      const answer = parseConnectionString(text, dialect)
      assert.ok('problem' in answer)
      assert.match(answer.problem, expected)
    })
  }

  it('knows the TLS modes of the contract, and those of libpq', () => {
    const mysqlModes = {
      false: 'off',
      FALSE: 'off',
      'skip-verify': 'unverified',
      true: 'verify-full',
      preferred: 'verify-full',
      custom: 'verify-full',
      '': 'verify-full',
    }
    for (const [mode, tls] of Object.entries(mysqlModes)) {
      const answer = parseConnectionString(`u:p@tcp(h)/d?tls=${mode}`)
      assert.ok('tls' in answer && answer.tls === tls, mode)
    }
    const postgresModes = {
      disable: 'off',
      allow: 'allow',
      prefer: 'prefer',
      require: 'unverified',
      'verify-ca': 'verify-ca',
      'verify-full': 'verify-full',
    }
    for (const [mode, tls] of Object.entries(postgresModes)) {
      for (const text of [`postgres://h/d?sslmode=${mode}`, `host=h sslmode=${mode}`]) {
        const answer = parseConnectionString(text)
        assert.ok('tls' in answer && answer.tls === tls, text)
      }
    }
    const ssl = parseConnectionString('postgres://h/d?ssl=true')
    assert.ok('tls' in ssl && ssl.tls === 'verify-full')
  })

  const oddities = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.string({ unit: fc.constantFrom(...'@:/?%#&=+()[]\\\'" ab1.,;'), minLength: 1 }),
    },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1 }) },
  )
  const password = oddities.filter((text) => !text.includes('\0') && !/\p{Surrogate}/u.test(text))
  const user = fc.string({ unit: fc.constantFrom(...'abcxyz_-.@%'), minLength: 1 })

  const survives = (text: string, expected: { user: string; password: string }, dialect?: Dialect) => {
    const answer = parseConnectionString(text, dialect)
    assert.ok('host' in answer, 'problem' in answer ? answer.problem : text)
    const { host, port, database } = answer
    assert.deepEqual(
      { user: answer.user, password: answer.password, host, port, database },
      {
        ...expected,
        host: 'db.example',
        port: 77,
        database: 'keys',
      },
    )
  }

  it('reads any password of a Go DSN as it is', () => {
    const property = fc.property(user, password, fc.boolean(), (name, secret, prefixed) => {
      fc.pre(!/^(?:mysql|postgres|postgresql|sqlite):\/\//i.test(`${name}:${secret}`))
      survives(`${prefixed ? 'mysql://' : ''}${name}:${secret}@tcp(db.example:77)/keys?tls=false`, {
        user: name,
        password: secret,
      })
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('reads any password of a URL that is percent-encoded', () => {
    const property = fc.property(
      fc.constantFrom('mysql', 'postgres', 'postgresql'),
      user,
      password,
      (scheme, name, secret) => {
        const text = `${scheme}://${encodeURIComponent(name)}:${encodeURIComponent(secret)}@db.example:77/keys`
        survives(text, { user: name, password: secret })
      },
    )
    fc.assert(property, { numRuns: 500 })
  })

  it('reads any password of libpq’s form that is quoted', () => {
    const property = fc.property(user, password, (name, secret) => {
      const quoted = `'${secret.replaceAll(/['\\]/g, '\\$&')}'`
      survives(`host=db.example port=77 dbname=keys user='${name}' password=${quoted}`, {
        user: name,
        password: secret,
      })
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('never repeats a piece of the string, and never throws', () => {
    const shapes = fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => `mysql://u:${text}@h/d`,
      (text) => `postgres://u:${text}@h:99999/d`,
      (text) => `postgres://h/d?sslmode=${text}`,
      (text) => `u:p@tcp(${text})/d?x=%`,
      (text) => `u:${text}@tcp(h`,
      (text) => `host=h ${text}`,
      (text) => `u:${text}@h/d`,
    )
    const property = fc.property(
      password,
      shapes,
      fc.constantFrom<Dialect>(undefined, 'mysql', 'postgres'),
      (text, shape, dialect) => {
        const answer = parseConnectionString(shape(`${text}§${text}`), dialect)
        if ('problem' in answer) assert.ok(!answer.problem.includes('§'))
      },
    )
    fc.assert(property, { numRuns: 1000 })
  })

  it('stays quick for an absurd string', () => {
    const start = performance.now()
    for (const piece of ['@tcp(', "a='b' ", '\\', "'", '@', '://', '(', '%41', ' ', '=']) {
      for (const dialect of [undefined, 'mysql', 'postgres'] as const) {
        parseConnectionString(piece.repeat(100_000), dialect)
        parseConnectionString(`host=${piece.repeat(100_000)}`, dialect)
      }
    }
    assert.ok(performance.now() - start < 5000)
  })
})
