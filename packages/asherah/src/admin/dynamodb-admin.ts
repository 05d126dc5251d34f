import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { isNamed } from '../aws/aws-client.ts'
import { createdOf, decodeItem, encodeItem, type Item } from '../metastore/dynamodb-item.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { RawPage, RawRow, RowStore } from './key-row.ts'

/** What the DynamoDB metastore lends: its table's commands by name. */
export interface DynamoDbAccess {
  send(
    command: 'GetItemCommand' | 'QueryCommand' | 'ScanCommand' | 'UpdateItemCommand' | 'DeleteItemCommand',
    input: object,
  ): Promise<object>
}

interface Answer {
  readonly Items?: readonly Item[]
  readonly Item?: Item
  readonly LastEvaluatedKey?: Record<string, AttributeValue>
}

export class DynamoDbRows implements RowStore {
  readonly #access: DynamoDbAccess
  readonly #end: () => Promise<void>

  constructor(access: DynamoDbAccess, end: () => Promise<void>) {
    this.#access = access
    this.#end = end
  }

  async page({ prefix, keyId, from, limit }: Parameters<RowStore['page']>[0]): Promise<RawPage> {
    const common = {
      Limit: limit,
      ConsistentRead: true,
      ...(from !== undefined && { ExclusiveStartKey: JSON.parse(from) as object }),
    }
    const answer: Answer =
      keyId === undefined
        ? await this.#access.send('ScanCommand', {
            ...common,
            ...(prefix !== undefined &&
              prefix !== '' && {
                FilterExpression: 'begins_with(Id, :prefix)',
                ExpressionAttributeValues: { ':prefix': { S: prefix } },
              }),
          })
        : await this.#access.send('QueryCommand', {
            ...common,
            KeyConditionExpression: 'Id = :id',
            ExpressionAttributeValues: { ':id': { S: keyId } },
          })
    const next = answer.LastEvaluatedKey
    return {
      rows: (answer.Items ?? []).map(rawRow),
      ...(next !== undefined && { next: JSON.stringify(next) }),
    }
  }

  async get(keyId: string, created: number): Promise<RawRow | undefined> {
    const input = { Key: keyOf(keyId, created), ConsistentRead: true }
    const { Item: item }: Answer = await this.#access.send('GetItemCommand', input)
    return item === undefined ? undefined : rawRow(item)
  }

  async replace(
    keyId: string,
    created: number,
    version: unknown,
    record: EnvelopeKeyRecord,
  ): Promise<boolean> {
    const { KeyRecord: to } = encodeItem(keyId, created, record)
    return this.#conditionally('UpdateItemCommand', {
      Key: keyOf(keyId, created),
      // The record alone: an item may have attributes of other programs.
      UpdateExpression: 'SET KeyRecord = :to',
      ConditionExpression: 'KeyRecord = :from',
      ExpressionAttributeValues: { ':to': to, ':from': version },
    })
  }

  async remove(keyId: string, created: number): Promise<boolean> {
    return this.#conditionally('DeleteItemCommand', {
      Key: keyOf(keyId, created),
      ConditionExpression: 'attribute_exists(Id)',
    })
  }

  close(): Promise<void> {
    return this.#end()
  }

  async #conditionally(command: 'UpdateItemCommand' | 'DeleteItemCommand', input: object): Promise<boolean> {
    try {
      await this.#access.send(command, input)
      return true
    } catch (error) {
      if (isNamed(error, 'ConditionalCheckFailedException')) return false
      throw error
    }
  }
}

function keyOf(keyId: string, created: number): Item {
  return { Id: { S: keyId }, Created: { N: String(created) } }
}

function rawRow(item: Item): RawRow {
  const keyId = item['Id']?.S ?? ''
  const shownTime = item['Created']?.N ?? ''
  const created = /^(?:0|-?[1-9]\d*)$/.test(shownTime) ? createdOf(keyId, item) : undefined
  return {
    keyId,
    created,
    shownTime,
    version: item['KeyRecord'],
    decode: (seconds) => decodeItem(keyId, seconds, item),
  }
}
