import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import type { CertificateKind, Certificates } from '../../../../tests/support/servers/certificates.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { AsherahError } from '../../src/errors.ts'
import type { SqlDatabase, SqlDialect, SqlServer } from './sql-dialect.ts'

/** What a server shows: a certificate, one of a test's own, or no TLS at all. */
export type Shown = CertificateKind | 'none' | 'nameOnly'

/** A server, the parameters of a connection string, what comes of it, and the host where it is not localhost. */
export type TlsCase = readonly [Shown, Readonly<Record<string, string>>, string, string?]

export interface TlsSuite {
  readonly cases: readonly TlsCase[]
  /** Parameters that demand TLS and check nothing. */
  readonly unverified: Readonly<Record<string, string>>
  /** The message, in part, for an account that is refused without TLS. */
  readonly plaintextRefused: string
  /** A certificate for the name localhost, and not for 127.0.0.1, where cases show one. */
  nameOnly?(): Promise<Certificates>
}

const { certificates } = testServers()

/**
 * The parameters of connection strings against servers with every kind of certificate. The account is refused without TLS,
 * but where there is none.
 */
export function sqlTls(dialect: SqlDialect, suite: TlsSuite): void {
  const databases = new Map<Shown, { readonly server: SqlServer; readonly database: SqlDatabase }>()

  before(async () => {
    await Promise.all(
      [...new Set(suite.cases.map(([shown]) => shown))].map(async (shown) => {
        const server = await dialect.start({
          certificates: (shown === 'nameOnly' ? await suite.nameOnly?.() : undefined) ?? certificates,
          ...(shown === 'none' && { tls: false }),
          ...(shown !== 'none' && shown !== 'nameOnly' && { certificate: shown }),
        })
        databases.set(shown, { server, database: await server.createDatabase() })
      }),
    )
  })
  after(async () => {
    await Promise.all([...databases.values()].map(({ server }) => server.remove()))
  })

  function textOf(shown: Shown, parameters: Readonly<Record<string, string>>, host: string): string {
    const { server, database } = databases.get(shown) ?? assert.fail(shown)
    const { limited, tlsOnly } = server.address
    return database.url({ host, account: shown === 'none' ? limited : tlsOnly, parameters })
  }

  /** `in`, or why not. */
  async function outcome(text: string): Promise<string> {
    try {
      const store = await dialect.connect(text)
      try {
        await store.load('_SK_a', 60)
        return 'in'
      } finally {
        await store.close()
      }
    } catch (error) {
      assert.ok(error instanceof AsherahError, String(error))
      if (error.code === 'ERR_CONFIG_INVALID') return 'config'
      assert.equal(error.code, 'ERR_METASTORE')
      if (error.message.includes('certificate is refused')) return 'certificate'
      if (error.message.includes('does not speak TLS')) return 'no TLS'
      return error.message.includes(suite.plaintextRefused) ? 'plaintext refused' : error.message
    }
  }

  describe(`${dialect.name} TLS`, () => {
    for (const [shown, parameters, expected, host = 'localhost'] of suite.cases) {
      const words = Object.entries(parameters).map(([key, value]) => `${key}=${value.split('/').at(-1)}`)
      test(`${shown} at ${host}, ${words.join(' ') || 'nothing said'}: ${expected}`, async () => {
        assert.equal(await outcome(textOf(shown, parameters, host)), expected)
      })
    }

    test('an idle connection does not keep a process alive that is done', () => {
      const program = `
        const { ${dialect.module.name} } = await import(process.argv[1])
        const store = await ${dialect.module.name}.connect(process.argv[2])
        console.log(await store.load('_SK_a', 60))`
      const text = textOf('server', suite.unverified, 'localhost')
      const output = execFileSync(
        process.execPath,
        ['--input-type=module', '-e', program, dialect.module.url, text],
        { encoding: 'utf8', timeout: 20_000 },
      )
      assert.equal(output, 'undefined\n')
    })
  })
}
