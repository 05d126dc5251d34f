import { readFileSync } from 'node:fs'
import type { Config } from 'asherah/admin'
import type { Environment } from '../configuration/sources.ts'

/** A service that is reached by HTTP, whose clock can be compared. */
export interface Endpoint {
  readonly name: string
  readonly url: string
  /** PEM text of the authorities that certify it, where they are not the system's. */
  readonly ca?: string
}

/** The metastore, where it is reached by HTTP. */
export function metastoreEndpoints({ metastore }: Config, environment: Environment): readonly Endpoint[] {
  if (metastore.kind !== 'dynamodb') return []
  const { endpoint, region } = metastore
  const url = endpoint ?? awsEndpoint('dynamodb', region ?? ambientRegion(environment), environment)
  return url === undefined ? [] : [{ name: 'DynamoDB', url }]
}

/** The KMS, or each of its regions. */
export function kmsEndpoints({ kms }: Config, environment: Environment): readonly Endpoint[] {
  const ambient = ambientRegion(environment)
  switch (kms.kind) {
    case 'aws':
      return ('arns' in kms ? Object.keys(kms.arns) : [ambient]).flatMap((region) => {
        const url = awsEndpoint('kms', region, environment)
        return url === undefined ? [] : [{ name: `AWS KMS in ${region ?? 'its region'}`, url }]
      })
    case 'secrets-manager': {
      const url = awsEndpoint('secretsmanager', ambient, environment)
      return url === undefined ? [] : [{ name: 'Secrets Manager', url }]
    }
    case 'vault':
      return [
        {
          name: 'Vault',
          url: `${kms.addr.replace(/\/+$/, '')}/v1/sys/health`,
          ...(kms.caPath !== undefined && { ca: readFileSync(kms.caPath, 'utf8') }),
        },
      ]
    default:
      return []
  }
}

/** The variables of the SDK for one service each. */
const serviceVariables = {
  dynamodb: 'AWS_ENDPOINT_URL_DYNAMODB',
  kms: 'AWS_ENDPOINT_URL_KMS',
  secretsmanager: 'AWS_ENDPOINT_URL_SECRETS_MANAGER',
} as const

function awsEndpoint(
  service: keyof typeof serviceVariables,
  region: string | undefined,
  environment: Environment,
): string | undefined {
  const given = environment[serviceVariables[service]] ?? environment['AWS_ENDPOINT_URL']
  if (given !== undefined && given !== '') return given
  if (region === undefined) return undefined
  return `https://${service}.${region}.${region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'}`
}

function ambientRegion(environment: Environment): string | undefined {
  return environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION']
}
