import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { type AwsPlace, AwsRefusal, callAws } from '../../support/servers/aws-json.ts'
import { createDynamoDbTable, DynamoDbServer, type DynamoDbTable } from '../../support/servers/dynamodb.ts'
import { MariaDbServer, mariaDbLiteral, queryMariaDb } from '../../support/servers/mariadb.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createKmsKeys, createSecret, putSecretValue } from '../../support/servers/moto.ts'
import { oddPassword } from '../../support/servers/odd-password.ts'
import {
  PostgresServer,
  pauseReplay,
  queryPostgres,
  resumeReplay,
  waitForReplay,
} from '../../support/servers/postgres.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { runTool } from '../../support/servers/tool.ts'

const { certificates, dynamodb, mariadb, moto, postgres, postgresReplica } = testServers()

test('every server listens on loopback only', () => {
  const ports = [postgres, postgresReplica, mariadb]
    .map(({ port }) => port)
    .concat([dynamodb, moto].map(({ endpoint }) => Number(new URL(endpoint).port)))
  const listeners = execFileSync('ss', ['-Hltn'], { encoding: 'utf8' }).split('\n')
  for (const port of ports) {
    const places = listeners
      .map((line) => line.split(/\s+/)[3] ?? '')
      .filter((place) => place.endsWith(`:${port}`))
    assert.ok(places.length > 0, `nothing listens on ${port}`)
    for (const place of places) assert.match(place, /^(127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]):\d+$/)
  }
})

describe('PostgreSQL', { timeout: 120_000 }, () => {
  const insert = "INSERT INTO encryption_key VALUES ('a', '2026-07-01 00:00:00Z', '{}')"

  test('is of version 15 or newer', async () => {
    assert.ok(Number(await queryPostgres(postgres, 'SHOW server_version_num')) >= 150_000)
  })

  test('makes databases with the columns and time zone that are asked for', async (context) => {
    const plain = await createPostgresDatabase(postgres)
    const other = await createPostgresDatabase(postgres, {
      keyRecord: 'JSONB',
      created: 'TIMESTAMPTZ',
      timeZone: 'America/New_York',
    })
    context.after(async () => Promise.all([plain.drop(), other.drop()]))
    const types =
      "SELECT string_agg(data_type, ',' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'encryption_key'"
    assert.equal(await plain.query(types), 'character varying,timestamp without time zone,text')
    assert.equal(await other.query(types), 'character varying,timestamp with time zone,jsonb')
    assert.equal(await plain.query('SHOW timezone'), 'UTC')
    assert.equal(await other.query('SHOW timezone'), 'America/New_York')
  })

  test('lets limited accounts in with odd passwords, by URL and by key=value, and no further than their rights', async (context) => {
    const database = await createPostgresDatabase(postgres)
    context.after(() => database.drop())
    const psql = (where: string, sql: string): Promise<string> =>
      runTool('psql', ['-X', '-q', '-A', '-t', where, '-c', sql])
    for (const where of [database.url(), database.keyValues()]) {
      assert.equal((await psql(where, 'SELECT current_user')).trim(), 'asherah_app')
    }
    await psql(database.url(), insert)
    await assert.rejects(psql(database.url(), 'DELETE FROM encryption_key'), /permission denied/)
    await assert.rejects(
      psql(database.url({ account: { user: 'asherah_app', password: 'x' } }), 'SELECT 1'),
      /password/,
    )
  })

  test('speaks TLS: the certificate is verified, and one account needs it', async (context) => {
    const database = await createPostgresDatabase(postgres)
    context.after(() => database.drop())
    const connect = (
      sslmode: string,
      root: string,
      account = postgres.tlsOnly,
      port = postgres.port,
    ): Promise<string> =>
      runTool('psql', [
        '-X',
        '-A',
        '-t',
        database.url({ account, port, parameters: { sslmode, sslrootcert: root } }),
        '-c',
        'SELECT 1',
      ])
    assert.equal((await connect('verify-full', certificates.authority)).trim(), '1')
    await assert.rejects(connect('disable', certificates.authority), /no encryption|rejects/)
    await assert.rejects(connect('verify-full', certificates.untrustedAuthority), /certificate verify failed/)
  })

  test('shows an expired certificate, one for another name, and one by a stranger, when asked to', async (context) => {
    for (const [certificate, complaint] of [
      ['expired', /certificate (has )?expired|certificate verify failed/],
      ['otherHost', /does not match host name/],
      ['untrusted', /certificate verify failed/],
    ] as const) {
      const server = await PostgresServer.start({ certificates, certificate })
      context.after(() => server.remove())
      const { port, limited } = server.address
      const database = await createPostgresDatabase(server.address)
      const url = database.url({
        port,
        account: limited,
        parameters: { sslmode: 'verify-full', sslrootcert: certificates.authority },
      })
      await assert.rejects(runTool('psql', ['-X', url, '-c', 'SELECT 1']), complaint)
      await server.remove()
    }
  })

  test('has a replica whose replay stops and goes on', async (context) => {
    const database = await createPostgresDatabase(postgres)
    context.after(() => database.drop())
    const count = (): Promise<string> =>
      queryPostgres(postgresReplica, 'SELECT count(*) FROM encryption_key', database.name)
    await waitForReplay(postgres, postgresReplica)
    await pauseReplay(postgresReplica)
    try {
      await database.query(insert)
      assert.equal(await count(), '0')
    } finally {
      await resumeReplay(postgresReplica)
    }
    await waitForReplay(postgres, postgresReplica)
    assert.equal(await count(), '1')
    await assert.rejects(queryPostgres(postgresReplica, insert, database.name), /read-only/)
  })

  test('keeps what was committed over a stop and over a kill', async (context) => {
    const server = await PostgresServer.start({ certificates })
    context.after(() => server.remove())
    const database = await createPostgresDatabase(server.address)
    await database.query(insert)
    await server.kill()
    assert.equal(server.running, false)
    await assert.rejects(database.query('SELECT 1'))
    await server.restart()
    assert.equal(await database.query('SELECT count(*) FROM encryption_key'), '1')
    await server.stop()
    await server.restart()
    assert.equal(await database.query('SELECT count(*) FROM encryption_key'), '1')
  })
})

describe('MariaDB', { timeout: 120_000 }, () => {
  const client = (args: readonly string[], password = oddPassword): Promise<string> =>
    runTool('mariadb', ['--no-defaults', `--password=${password}`, '--batch', '--skip-column-names', ...args])
  const tcp = (user: string): string[] => ['--host=127.0.0.1', `--port=${mariadb.port}`, `--user=${user}`]

  test('makes databases with the column, the collation and the rights that are asked for', async (context) => {
    const exact = await createMariaDbDatabase(mariadb)
    const folding = await createMariaDbDatabase(mariadb, {
      keyRecord: 'JSON',
      collation: 'utf8mb4_general_ci',
    })
    const latin = await createMariaDbDatabase(mariadb, { collation: 'latin1_swedish_ci' })
    context.after(async () => Promise.all([exact, folding, latin].map((database) => database.drop())))
    const insert = "INSERT INTO encryption_key VALUES ('a', '2026-07-01', '{}'), ('A', '2026-07-01', '{}')"
    await exact.query(insert)
    await assert.rejects(folding.query(insert), /Duplicate entry/)
    await assert.rejects(
      folding.query("INSERT INTO encryption_key VALUES ('a', '2026-07-01', 'x')"),
      /CONSTRAINT/,
    )
    await assert.rejects(
      latin.query("INSERT INTO encryption_key VALUES ('ж', '2026-07-01', '{}')"),
      /Incorrect string value/,
    )
    const asApp = [...tcp('asherah_app'), '--skip-ssl', exact.name, '-e']
    assert.equal(await client([...asApp, 'SELECT count(*) FROM encryption_key']), '2\n')
    await assert.rejects(client([...asApp, 'DELETE FROM encryption_key']), /DELETE command denied/)
  })

  test('lets accounts in over TCP and the Unix socket, one only with TLS', async () => {
    const encrypted = ['--ssl', `--ssl-ca=${certificates.authority}`, '--ssl-verify-server-cert']
    const status = ['-e', "SHOW STATUS LIKE 'Ssl_version'"]
    assert.match(await client([...tcp('asherah_app'), '--skip-ssl', ...status]), /Ssl_version\t\n/)
    assert.equal(await client([`--socket=${mariadb.socket}`, '--user=asherah_app', '-e', 'SELECT 1']), '1\n')
    const { password } = mariadb.tlsOnly
    assert.match(await client([...tcp('asherah_tls'), ...encrypted, ...status], password), /TLSv1\.[23]/)
    await assert.rejects(client([...tcp('asherah_tls'), '--skip-ssl', ...status], password), /Access denied/)
    await assert.rejects(client([...tcp('asherah_app'), ...status], 'wrong'), /Access denied/)
  })

  test('knows time zones, daylight saving included, and keeps its data over a kill', async (context) => {
    const server = await MariaDbServer.start({ certificates, timeZone: 'America/New_York' })
    context.after(() => server.remove())
    const database = await createMariaDbDatabase(server.address)
    assert.equal(await database.query('SELECT @@time_zone'), 'America/New_York')
    // The clocks went from 02:00 to 03:00 on 8 March 2026; TIMESTAMP cannot hold what was left out.
    await assert.rejects(
      database.query("INSERT INTO encryption_key VALUES ('a', '2026-03-08 02:30:00', '{}')"),
      /Incorrect datetime/,
    )
    await database.query("INSERT INTO encryption_key VALUES ('a', '2026-03-08 03:30:00', '{}')")
    await server.setTimeZone('+05:30')
    assert.equal(await database.query('SELECT created FROM encryption_key'), '2026-03-08 13:00:00')
    await server.kill()
    await assert.rejects(database.query('SELECT 1'))
    await server.restart()
    assert.equal(await database.query('SELECT count(*) FROM encryption_key'), '1')
  })

  test('has no account without a password', async () => {
    const rows = await queryMariaDb(
      mariadb,
      `SELECT count(*) FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.authentication_string') IN ('', 'invalid')
         AND User <> ${mariaDbLiteral('mariadb.sys')}`,
    )
    assert.equal(rows, '0')
  })
})

describe('DynamoDB Local', { timeout: 120_000 }, () => {
  const call = <T>(table: DynamoDbTable, action: string, body: object): Promise<T> =>
    callAws<T>(table, `DynamoDB_20120810.${action}`, { TableName: table.name, ...body })
  const store = (table: DynamoDbTable, created: number): Promise<unknown> =>
    call(table, 'PutItem', {
      Item: { Id: { S: 'a' }, Created: { N: String(created) }, KeyRecord: { M: { Key: { S: 'x' } } } },
      ConditionExpression: 'attribute_not_exists(Id)',
    })
  const refusal = (type: string) => (error: unknown) => error instanceof AwsRefusal && error.type === type

  test('keeps the condition, one winner of fifty, and the order', async (context) => {
    const table = await createDynamoDbTable(dynamodb.endpoint)
    context.after(() => table.drop())
    for (const created of [9, 100, 20]) await store(table, created)
    await assert.rejects(store(table, 20), refusal('ConditionalCheckFailedException'))
    const race = await Promise.allSettled(Array.from({ length: 50 }, () => store(table, 50)))
    assert.equal(race.filter(({ status }) => status === 'fulfilled').length, 1)
    const { Items } = await call<{ Items: { Created: { N: string } }[] }>(table, 'Query', {
      KeyConditionExpression: 'Id = :id',
      ExpressionAttributeValues: { ':id': { S: 'a' } },
      ScanIndexForward: false,
      Limit: 2,
      ConsistentRead: true,
    })
    // As numbers: as text, 9 would be the greatest.
    assert.deepEqual(
      Items.map(({ Created }) => Created.N),
      ['100', '50'],
    )
  })

  test('keeps regions and accounts apart', async (context) => {
    const table = await createDynamoDbTable(dynamodb.endpoint, { region: 'us-west-2', name: 'Apart' })
    context.after(() => table.drop())
    for (const other of [{ region: 'us-east-1' }, { accessKeyId: 'other' }]) {
      await assert.rejects(
        callAws({ ...table, ...other }, 'DynamoDB_20120810.Scan', { TableName: 'Apart' }),
        refusal('ResourceNotFoundException'),
      )
    }
  })

  test('keeps its tables over a kill', async (context) => {
    const server = await DynamoDbServer.start()
    context.after(() => server.remove())
    const table = await createDynamoDbTable(server.endpoint)
    await store(table, 1)
    await server.kill()
    await assert.rejects(table.items(), TypeError)
    await server.restart()
    assert.equal((await table.items()).length, 1)
  })
})

describe('moto', { timeout: 60_000 }, () => {
  const place = (region: string, service: 'kms' | 'secretsmanager'): AwsPlace => ({
    endpoint: moto.endpoint,
    region,
    service,
  })

  test('has KMS keys by region', async () => {
    const keys = await createKmsKeys(moto.endpoint, ['us-west-2', 'us-east-1'])
    const west = place('us-west-2', 'kms')
    const { CiphertextBlob, Plaintext } = await callAws<{ CiphertextBlob: string; Plaintext: string }>(
      west,
      'TrentService.GenerateDataKey',
      { KeyId: keys['us-west-2'], KeySpec: 'AES_256' },
    )
    assert.equal(Buffer.from(Plaintext, 'base64').length, 32)
    const opened = await callAws<{ Plaintext: string }>(west, 'TrentService.Decrypt', { CiphertextBlob })
    assert.equal(opened.Plaintext, Plaintext)
    await assert.rejects(
      callAws(place('us-east-1', 'kms'), 'TrentService.Decrypt', { CiphertextBlob }),
      AwsRefusal,
    )
    const unknown = { KeyId: `${keys['us-west-2']}0`, KeySpec: 'AES_256' }
    await assert.rejects(callAws(west, 'TrentService.GenerateDataKey', unknown), AwsRefusal)
  })

  test('has secrets with versions', async () => {
    const secret = await createSecret(moto.endpoint, 'us-west-2', 'first')
    const version = await putSecretValue(moto.endpoint, 'us-west-2', secret, Uint8Array.of(1, 2))
    const get = (body: object): Promise<Readonly<Record<string, unknown>>> =>
      callAws(place('us-west-2', 'secretsmanager'), 'secretsmanager.GetSecretValue', {
        SecretId: secret,
        ...body,
      })
    const current = await get({})
    assert.deepEqual([current['SecretBinary'], current['VersionId']], ['AQI=', version])
    assert.equal((await get({ VersionStage: 'AWSPREVIOUS' }))['SecretString'], 'first')
    await assert.rejects(
      callAws(place('us-east-1', 'secretsmanager'), 'secretsmanager.GetSecretValue', { SecretId: secret }),
      AwsRefusal,
    )
  })
})

test('the certificates are what their names say', async (context) => {
  for (const [kind, expected] of [
    ['server', ''],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['otherHost', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['untrusted', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ] as const) {
    const pair = certificates[kind]
    const server = createServer({ cert: readFileSync(pair.certificate), key: readFileSync(pair.key) })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    context.after(() => server.close())
    const address = server.address()
    assert.ok(address !== null && typeof address === 'object')
    const code = await new Promise<string>((resolve) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: address.port,
        ca: readFileSync(certificates.authority),
      })
      socket.on('secureConnect', () => {
        socket.destroy()
        resolve('')
      })
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    })
    assert.equal(code, expected, kind)
  }
})
