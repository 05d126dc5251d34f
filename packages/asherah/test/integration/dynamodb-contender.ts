// Opens the table of a test in another process; the argument is the options as JSON.
import { DynamoDbMetastore, type DynamoDbOptions } from '../../src/metastore/dynamodb.ts'

export function openStore(argument: string): Promise<DynamoDbMetastore> {
  return DynamoDbMetastore.open(JSON.parse(argument) as DynamoDbOptions)
}
