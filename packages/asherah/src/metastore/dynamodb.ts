import type { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  type AwsLimits,
  awsClientConfig,
  isNamed,
  queryTimeoutMs,
  regionOf,
  sendWithin,
} from '../aws/aws-client.ts'
import { importDriver } from '../driver.ts'
import { AsherahError } from '../errors.ts'
import { createdOf, decodeItem, encodeItem, type Item } from './dynamodb-item.ts'
import { internals } from './internals.ts'
import { isKeyId } from './key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from './metastore.ts'

type DynamoDbModule = typeof import('@aws-sdk/client-dynamodb')

/** Which table, and how it is reached. */
export interface DynamoDbOptions extends AwsLimits {
  /** Name or ARN of the table; `EncryptionKey` unless said. */
  readonly tableName?: string
  /** Region of the table; without it the one that the SDK finds. */
  readonly region?: string
  /** Region that requests are signed for, where it is not that of the table; with `regionSuffix`, the suffix. */
  readonly signingRegion?: string
  /** URL to use in place of the one that the region implies; the SDK itself reads `AWS_ENDPOINT_URL_DYNAMODB`. */
  readonly endpoint?: string
  /** Profile of the shared configuration files; without it the SDK's default chain of credentials. */
  readonly profile?: string
  /** Whether the client's region is appended to newly written ids: needed with global tables. */
  readonly regionSuffix?: boolean
  /** A client of your own, which is never destroyed here; `region`, `endpoint` and the like do not count for it. */
  readonly client?: DynamoDBClient
}

/** Ids that one call of `loadLatestMany` asks for at a time; the connections of a client are 50 (measured: more gain nothing). */
const queriesAtOnce = 50
/** https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html */
const mostIdBytes = 2048

/**
 * A metastore in a DynamoDB table, with items as every Asherah writes and reads them. Reads are strongly consistent. The
 * table is never made here: {@link createTableCommand} says how.
 *
 * @throws AsherahError `ERR_METASTORE` when DynamoDB refuses or cannot be reached, `ERR_TIMEOUT` when it does not answer in
 * time, `ERR_METASTORE_ROW_MALFORMED` for an item that cannot be understood, `ERR_CLOSED` after `close`.
 *
 * @example
 * ```ts
 * const metastore = await DynamoDbMetastore.open({ tableName: 'EncryptionKey', regionSuffix: true })
 * const onMyClient = await DynamoDbMetastore.open({ client: new DynamoDBClient({ region, credentials }) })
 * ```
 */
export class DynamoDbMetastore implements Metastore {
  /** The client's region where {@link DynamoDbOptions.regionSuffix} is set, else empty. */
  readonly regionSuffix: string
  readonly #sdk: DynamoDbModule
  readonly #client: DynamoDBClient
  readonly #tableName: string
  readonly #limitMs: number
  readonly #ownsClient: boolean
  readonly #inFlight = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined

  private constructor(
    sdk: DynamoDbModule,
    client: DynamoDBClient,
    regionSuffix: string,
    options: DynamoDbOptions,
  ) {
    this.#sdk = sdk
    this.#client = client
    this.regionSuffix = regionSuffix
    this.#tableName = options.tableName ?? 'EncryptionKey'
    this.#limitMs = queryTimeoutMs(options)
    this.#ownsClient = options.client === undefined
  }

  /**
   * Finds the region and makes the client. No call of DynamoDB is made.
   *
   * @throws AsherahError `ERR_CONFIG_INVALID` when no region is configured anywhere, `ERR_DRIVER_MISSING` without
   * `@aws-sdk/client-dynamodb`.
   */
  static async open(options: DynamoDbOptions = {}): Promise<DynamoDbMetastore> {
    const sdk = await importDriver<DynamoDbModule>('@aws-sdk/client-dynamodb')
    const { client: own, region, signingRegion, profile } = options
    const config = {
      ...options,
      region: signingRegion ?? region,
      profile,
      endpoint: dynamoDbEndpoint(options),
    }
    const client = own ?? new sdk.DynamoDBClient(awsClientConfig(config))
    const found = await regionOf(client)
    if (found === undefined) {
      if (own === undefined) client.destroy()
      throw new AsherahError(
        'ERR_CONFIG_INVALID',
        'No region is configured for DynamoDB: give dynamoDbRegion, or set AWS_REGION or the region of the profile.',
      )
    }
    return new DynamoDbMetastore(sdk, client, options.regionSuffix === true ? found : '', options)
  }

  async load(keyId: string, created: number): Promise<EnvelopeKeyRecord | undefined> {
    this.#checkOpen()
    // What cannot have been stored is absent.
    if (!isStorable(keyId) || !Number.isSafeInteger(created)) return undefined
    const command = new this.#sdk.GetItemCommand({
      TableName: this.#tableName,
      Key: { Id: { S: keyId }, Created: { N: String(created) } },
      ProjectionExpression: 'KeyRecord',
      ConsistentRead: true,
    })
    const { Item: item } = (await this.#send('read', command)) as { readonly Item?: Item }
    return item === undefined ? undefined : decodeItem(keyId, created, item)
  }

  async loadLatest(keyId: string): Promise<EnvelopeKeyRecord | undefined> {
    this.#checkOpen()
    if (!isStorable(keyId)) return undefined
    const command = new this.#sdk.QueryCommand({
      TableName: this.#tableName,
      KeyConditionExpression: 'Id = :id',
      ExpressionAttributeValues: { ':id': { S: keyId } },
      ScanIndexForward: false,
      Limit: 1,
      ConsistentRead: true,
    })
    const { Items: items } = (await this.#send('read', command)) as { readonly Items?: readonly Item[] }
    const [item] = items ?? []
    return item === undefined ? undefined : decodeItem(keyId, createdOf(keyId, item), item)
  }

  /** Queries side by side, since DynamoDB has none for several ids. */
  async loadLatestMany(keyIds: readonly string[]): Promise<ReadonlyMap<string, EnvelopeKeyRecord>> {
    const found = new Map<string, EnvelopeKeyRecord>()
    const waiting = new Set(keyIds).values()
    const ask = async (): Promise<void> => {
      for (const keyId of waiting) {
        const row = await this.loadLatest(keyId)
        if (row !== undefined) found.set(keyId, row)
      }
    }
    await Promise.all(Array.from({ length: Math.min(queriesAtOnce, keyIds.length) }, ask))
    return found
  }

  async store(keyId: string, created: number, record: EnvelopeKeyRecord): Promise<boolean> {
    this.#checkOpen()
    const item = encodeItem(keyId, created, record)
    if (!isStorable(keyId)) {
      throw rowUnstorable(keyId, created)
    }
    const command = new this.#sdk.PutItemCommand({
      TableName: this.#tableName,
      Item: item,
      // On a table with a sort key this means that the very item is not there.
      ConditionExpression: 'attribute_not_exists(Id)',
    })
    try {
      await this.#send('stored', command)
      return true
    } catch (error) {
      if (isNamed(error, 'ConditionalCheckFailedException')) return false
      throw error
    }
  }

  /** @internal For the admin interface: a command on this table, with this store's limits and errors. */
  async [internals](name: TableCommand, input: object): Promise<object> {
    this.#checkOpen()
    const Command = this.#sdk[name] as new (input: object) => object
    const command = new Command({ TableName: this.#tableName, ...input })
    const action = /^(?:Update|Delete|Put)/.test(name) ? 'stored' : 'read'
    return (await this.#send(action, command)) as object
  }

  /** Waits for the calls under way and ends the client that was made here. */
  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#inFlight).then(() => {
      if (this.#ownsClient) this.#client.destroy()
    })
    return this.#closing
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new AsherahError('ERR_CLOSED', 'The DynamoDB metastore was closed: make a new one.')
    }
  }

  async #send(action: 'read' | 'stored', command: object): Promise<unknown> {
    const client = this.#client as Sender
    const call = sendWithin(client, command, `DynamoDB, table '${this.#tableName}',`, this.#limitMs)
    this.#inFlight.add(call)
    try {
      return await call
    } catch (cause) {
      if (cause instanceof AsherahError || isNamed(cause, 'ConditionalCheckFailedException')) throw cause
      throw dynamoDbError(action, this.#tableName, cause)
    } finally {
      this.#inFlight.delete(call)
    }
  }
}

/** The commands that the admin interface uses. */
type TableCommand =
  | 'GetItemCommand'
  | 'QueryCommand'
  | 'ScanCommand'
  | 'PutItemCommand'
  | 'UpdateItemCommand'
  | 'DeleteItemCommand'
  | 'DescribeTableCommand'
  | 'CreateTableCommand'

interface Sender {
  send(command: object, options: { readonly abortSignal: AbortSignal }): Promise<unknown>
}

/**
 * The command that makes the table, as it can be typed.
 *
 * @example
 * ```ts
 * createTableCommand('EncryptionKey') // aws dynamodb create-table --table-name EncryptionKey …
 * ```
 */
export function createTableCommand(tableName: string): string {
  return (
    `aws dynamodb create-table --table-name ${tableName} ` +
    '--attribute-definitions AttributeName=Id,AttributeType=S AttributeName=Created,AttributeType=N ' +
    '--key-schema AttributeName=Id,KeyType=HASH AttributeName=Created,KeyType=RANGE --billing-mode PAY_PER_REQUEST'
  )
}

/** The endpoint that the options ask for; undefined where the SDK finds it by the region (contract section 4.6). */
export function dynamoDbEndpoint(options: DynamoDbOptions): string | undefined {
  const { endpoint, region, signingRegion } = options
  if (endpoint !== undefined) return endpoint
  if (region === undefined || signingRegion === undefined || region === signingRegion) return undefined
  return `https://dynamodb.${region}.${dnsSuffix(region)}`
}

function dnsSuffix(region: string): string {
  if (region.startsWith('cn-')) return 'amazonaws.com.cn'
  if (region.startsWith('us-isob-')) return 'sc2s.sgov.gov'
  return region.startsWith('us-iso-') ? 'c2s.ic.gov' : 'amazonaws.com'
}

function isStorable(keyId: string): boolean {
  return isKeyId(keyId) && Buffer.byteLength(keyId) <= mostIdBytes
}

function rowUnstorable(keyId: string, created: number): AsherahError {
  return new AsherahError(
    'ERR_METASTORE',
    `The key record ${JSON.stringify(keyId.slice(0, 100))} created ${created} was not stored: DynamoDB cannot hold an id ` +
      `that is empty, not well-formed text or longer than ${mostIdBytes} bytes.`,
  )
}

function dynamoDbError(action: 'read' | 'stored', tableName: string, cause: unknown): AsherahError {
  const name = cause instanceof Error ? cause.name : typeof cause
  const what = `The key record could not be ${action}: DynamoDB, table '${tableName}'`
  if (name === 'ResourceNotFoundException') {
    return new AsherahError(
      'ERR_METASTORE',
      `${what}, has no such table in this region and account. Check them, or make the table:\n${createTableCommand(tableName)}`,
      { cause },
    )
  }
  return new AsherahError(
    'ERR_METASTORE',
    `${what}, answered ${name}, which is the cause of this error. Keys in memory serve on.`,
    { cause },
  )
}
