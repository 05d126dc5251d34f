import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type AwsPlace, callAws } from './aws-json.ts'
import { javaClasses, mavenPackages } from './packages.ts'
import { createServerFolder, removeServerFolder } from './server-folder.ts'
import { ServerProcess } from './server-process.ts'
import { findProgram, lookForProgram } from './tool.ts'

const sources = join(import.meta.dirname, 'dynamodb-local')

/** Whether {@link DynamoDbServer.start} can find what it needs. */
export function dynamoDbIsInstalled(): boolean {
  return ['java', 'javac', 'mvn'].every((name) => lookForProgram(name) !== undefined)
}

/** DynamoDB Local, Amazon's own, on loopback. A region and an access key have tables of their own, as in AWS. */
export class DynamoDbServer {
  readonly #folder: string
  #process: ServerProcess | undefined
  #port = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** Starts an empty server (measured: 2 s). What it keeps survives {@link restart} and {@link kill}. */
  static async start(): Promise<DynamoDbServer> {
    const folder = await createServerFolder('ddb')
    const server = new DynamoDbServer(folder)
    try {
      mkdirSync(join(folder, 'data'))
      await server.restart()
      return server
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Starts it again on the same port with the same tables, ending it first when it runs. */
  async restart(): Promise<void> {
    await this.stop()
    const jars = await mavenPackages(join(sources, 'pom.xml'))
    const classes = await javaClasses([join(sources, 'LoopbackDynamoDb.java')], jars)
    const machine = ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx512m']
    const own = ['-dbPath', join(this.#folder, 'data'), '-disableTelemetry']
    this.#process = ServerProcess.spawn({
      name: 'DynamoDB Local',
      command: findProgram('java'),
      args: [
        ...machine,
        `-Dsqlite4java.library.path=${jars}`,
        ...['-cp', `${classes}:${join(jars, '*')}`, 'LoopbackDynamoDb', String(this.#port), ...own],
      ],
      env: { ...process.env, DDB_LOCAL_TELEMETRY: '0' },
    })
    this.#port = Number(await this.#process.waitForLine(/^listening on (\d+)$/m))
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    await this.#process?.end('SIGTERM')
  }

  /** Ends it with SIGKILL. */
  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL')
  }

  /** Ends it at once and removes its folder. */
  async remove(): Promise<void> {
    await this.kill()
    removeServerFolder(this.#folder)
  }
}

export interface DynamoDbTable extends AwsPlace {
  readonly name: string
  readonly service: 'dynamodb'
  /** Every item, as DynamoDB writes them. */
  items(): Promise<readonly Readonly<Record<string, unknown>>[]>
  put(item: Readonly<Record<string, unknown>>): Promise<void>
  drop(): Promise<void>
}

export interface DynamoDbTableOptions {
  /** us-west-2 by default. */
  readonly region?: string
  /** A name that no other table has, by default; the library's own default is `EncryptionKey`. */
  readonly name?: string
  readonly accessKeyId?: string
}

/** Makes a table of the schema of contract section 4.6: `Id` and `Created`. */
export async function createDynamoDbTable(
  endpoint: string,
  options: DynamoDbTableOptions = {},
): Promise<DynamoDbTable> {
  const {
    region = 'us-west-2',
    name = `EncryptionKey-${randomBytes(8).toString('hex')}`,
    accessKeyId = 'test',
  } = options
  const place: AwsPlace = { endpoint, region, service: 'dynamodb', accessKeyId }
  const call = <T>(action: string, body: object): Promise<T> =>
    callAws<T>(place, `DynamoDB_20120810.${action}`, { TableName: name, ...body })
  await call('CreateTable', {
    AttributeDefinitions: [
      { AttributeName: 'Id', AttributeType: 'S' },
      { AttributeName: 'Created', AttributeType: 'N' },
    ],
    KeySchema: [
      { AttributeName: 'Id', KeyType: 'HASH' },
      { AttributeName: 'Created', KeyType: 'RANGE' },
    ],
    BillingMode: 'PAY_PER_REQUEST',
  })
  return {
    endpoint,
    region,
    name,
    accessKeyId,
    service: 'dynamodb',
    items: async () =>
      (await call<{ Items: Record<string, unknown>[] }>('Scan', { ConsistentRead: true })).Items,
    put: async (item) => {
      await call('PutItem', { Item: item })
    },
    drop: async () => {
      await call('DeleteTable', {})
    },
  }
}
