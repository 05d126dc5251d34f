import assert from 'node:assert/strict'
import { builtIn, type Config, type ResolvedConfig, resolveConfig } from '../../src/config/config.ts'
import { ConfigurationError } from '../../src/config/problems.ts'

export const hex = '0123456789abcdefABCDEF00112233445566778899aabbccddeeff0011223344'
export const everyBackend = [...builtIn, 'rdbms', 'dynamodb', 'aws', 'secrets-manager', 'vault']

/** The least that a configuration needs. */
export const base = {
  serviceName: 'svc',
  productId: 'prod',
  metastore: 'memory',
  kms: 'static',
  staticMasterKeyHex: hex,
}

/** A metastore and a KMS of the user's. */
export const rows = { load: () => undefined, loadLatest: () => undefined, store: () => true }
export const wrapper = { encryptKey: (key: Uint8Array) => key, decryptKey: (key: Uint8Array) => key }

export function resolved(input: object, environment = {}): ResolvedConfig {
  return resolveConfig(input, environment, everyBackend)
}

export function config(input: object, environment = {}): Config {
  return resolved(input, environment).config
}

/** What is wrong with a configuration that must be refused. */
export function failure(input: object, environment = {}): ConfigurationError {
  try {
    resolved(input, environment)
  } catch (error) {
    if (error instanceof ConfigurationError) return error
    throw error
  }
  throw new assert.AssertionError({ message: `accepted: ${Object.keys(input).join()}` })
}
