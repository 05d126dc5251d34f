import {
  createDynamoDbTable,
  DynamoDbServer,
  dynamoDbIsInstalled,
} from '../tests/support/servers/dynamodb.ts'
import { FaultProxy } from '../tests/support/servers/fault-proxy.ts'
import { measureColdStore } from './cold-store.ts'
import { configuration } from './configuration.ts'
import type { Figures } from './figure.ts'
import type { Plan } from './plan.ts'

/** What a request to DynamoDB takes within a region is some milliseconds; DynamoDB Local itself takes one or two. */
const networkMs = 4

/**
 * Partitions whose keys are in DynamoDB Local, behind a network's delay: DynamoDB has no query for many ids, so what is
 * gained is gained by asking in parallel. Answers why not, where it cannot be started.
 */
export async function measureColdDynamoDb(plan: Plan, figures: Figures): Promise<string | undefined> {
  if (!dynamoDbIsInstalled()) return 'DynamoDB Local needs java, javac and mvn, which are not all installed'
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
  const server = await DynamoDbServer.start()
  try {
    const table = await createDynamoDbTable(server.endpoint)
    const { hostname: host, port } = new URL(server.endpoint)
    const proxy = await FaultProxy.start(
      { host, port: Number(port) },
      { fault: { kind: 'delay', ms: networkMs, direction: 'to-client' } },
    )
    try {
      const config = {
        ...configuration(),
        metastore: 'dynamodb',
        dynamoDbEndpoint: `http://127.0.0.1:${proxy.port}`,
        dynamoDbRegion: table.region,
        dynamoDbTableName: table.name,
      } as const
      const sizes = { partitions: 500, overBridge: 0, rounds: plan.quick ? 1 : 3 }
      await measureColdStore(
        { group: 'dynamodb', name: `DynamoDB, ${networkMs} ms away`, config, ...sizes },
        figures,
      )
    } finally {
      await proxy.close()
    }
  } finally {
    await server.remove()
  }
  return undefined
}
