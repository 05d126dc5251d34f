import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseConnectionString } from '../../src/config/connection-string.ts'
import type { DatabaseConnection } from '../../src/config/database-connection.ts'

interface Place {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string
  readonly parameters: Readonly<Record<string, string>>
}

const hosts = ['db', 'db-1.example.com', '10.0.0.7', '::1', 'fe80::1%2', 'fd00:ec2::253']
const odd = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...'@:/?%#&=+()[]{}\\\'"`;,. $!|<>^~\t\n'),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 30,
  })
  .filter((text) => !text.includes('\0') && text.isWellFormed())
const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,9}$/)
const place: fc.Arbitrary<Place> = fc.record(
  {
    host: fc.constantFrom(...hosts),
    port: fc.integer({ min: 1, max: 65_535 }),
    database: odd,
    user: odd,
    password: odd,
    parameters: fc.dictionary(
      word.map((name) => `x_${name}`),
      odd,
      { maxKeys: 3, noNullPrototype: true },
    ),
  },
  { noNullPrototype: true },
)

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)
const query = ({ parameters }: Place): string =>
  Object.entries(parameters)
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join('&')
const url = (scheme: string, it: Place): string =>
  `${scheme}://${encodeURIComponent(it.user)}:${encodeURIComponent(it.password)}@${bracketed(it.host)}:${it.port}` +
  `/${encodeURIComponent(it.database)}?${query(it)}`
const quoted = (value: string): string => `'${value.replaceAll(/['\\]/g, '\\$&')}'`

const forms: Readonly<Record<string, (it: Place) => string>> = {
  'a MySQL URL': (it) => url('mysql', it),
  'a Postgres URL': (it) => url('postgres', it),
  'libpq’s words': (it) =>
    Object.entries({
      host: it.host,
      port: String(it.port),
      dbname: it.database,
      user: it.user,
      password: it.password,
      ...it.parameters,
    })
      .map(([name, value]) => `${name}=${quoted(value)}`)
      .join(' '),
}

function said(connection: DatabaseConnection): Place {
  const { host = '', port = 0, database = '', user = '', password = '', parameters } = connection
  return { host, port, database, user, password, parameters }
}

for (const [name, write] of Object.entries(forms)) {
  test(`${name} says what was written into it, whatever the password`, () => {
    fc.assert(
      fc.property(place, (it) => {
        const answer = parseConnectionString(write(it))
        assert.ok('tls' in answer, JSON.stringify([answer, write(it)]))
        assert.deepEqual(said(answer), it)
      }),
      { numRuns: 500 },
    )
  })
}

test('a Go DSN takes user and password as they stand', () => {
  const fit = place.filter(
    ({ user, password }) =>
      !user.includes(':') &&
      // These begin another form, or the address.
      !/^[a-z][a-z0-9+.-]*:\/\//i.test(`${user}:${password}`) &&
      !/(?:^|@)(?:tcp|unix)\(/.test(`${user}:${password}`),
  )
  fc.assert(
    fc.property(fit, (it) => {
      const dsn = `${it.user}:${it.password}@tcp(${bracketed(it.host)}:${it.port})/${encodeURIComponent(it.database)}?${query(it)}`
      const answer = parseConnectionString(dsn)
      assert.ok('tls' in answer, JSON.stringify([answer, dsn]))
      assert.deepEqual(said(answer), it)
    }),
    { numRuns: 500 },
  )
})

test('a password that is not encoded leads to no other server, and is not repeated', () => {
  const raw = fc.oneof(
    odd,
    fc.constantFrom(
      '1/evil',
      '1?host=evil&x=',
      'x@evil/d?y=',
      'x@evil:1',
      '@tcp(evil)/',
      '%40evil',
      '[::2]:5/',
      '5#@evil/',
    ),
    fc
      .tuple(odd, fc.constantFrom('@evil/', ':5/evil?', '@', '/', '?', '@[::2]/'))
      .map(([one, other]) => one + other),
  )
  fc.assert(
    fc.property(fc.constantFrom('mysql', 'postgres'), raw, (scheme, password) => {
      const answer = parseConnectionString(`${scheme}://user:${password}§@db.example:77/keys`)
      if ('problem' in answer) {
        assert.ok(!answer.problem.includes('§'))
        return
      }
      assert.ok('tls' in answer)
      assert.equal(answer.host, 'db.example', password)
      assert.equal(answer.port, 77)
      assert.equal(answer.database, 'keys')
      assert.equal(answer.user, 'user')
      assert.ok(answer.password?.endsWith('§'))
    }),
    { numRuns: 3000 },
  )
})
