import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { attributeName, readServeSettings, serveFlags } from '../src/index.ts'
import { temporaryFolder } from './support/sidecar.ts'

const folder = join(import.meta.dirname, '..', '..', '..', 'samples', 'sidecar')
const sample = (name: string): string => readFileSync(join(folder, name), 'utf8')
const key = '5c'.repeat(32)

/** Flags and variables of the sidecar that a text names, the former with their values. */
function named(text: string): { flags: Record<string, string>; variables: string[] } {
  const flags: Record<string, string> = {}
  for (const [, flag = '', value = ''] of text.matchAll(/(--[a-z][a-z-]+)[= ]([^\s"]+)/g))
    flags[attributeName(flag)] = value
  return {
    flags,
    variables: text.match(/\bASHERAH_[A-Z_]+\b/g)?.filter((name) => name !== 'ASHERAH_TARGET') ?? [],
  }
}

describe('the samples', () => {
  const environments: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'asherah-sidecar.service': {
      ASHERAH_METASTORE_MODE: 'sqlite',
      ASHERAH_CONNECTION_STRING: 'keys.db',
      ASHERAH_KMS_MODE: 'static',
    },
    'kubernetes.yaml': {},
    'ecs-task-definition.json': { ASHERAH_CONNECTION_STRING: 'postgres://u:p@db/keys' },
  }

  test('are all checked', () => {
    assert.deepEqual(readdirSync(folder).toSorted(), [...Object.keys(environments), 'README.md'].toSorted())
  })

  for (const [name, environment] of Object.entries(environments)) {
    test(`${name} gives settings that the sidecar takes`, (context) => {
      const { flags, variables } = named(sample(name))
      const known = new Set(serveFlags.flatMap((flag) => [flag.flags, ...flag.aliases].map(attributeName)))
      assert.ok(Object.keys(flags).length >= 4)
      assert.deepEqual(
        Object.keys(flags).filter((flag) => !known.has(flag)),
        [],
      )
      const knownVariables = new Set(serveFlags.flatMap((flag) => flag.environment))
      assert.deepEqual(
        variables.filter((variable) => !knownVariables.has(variable)),
        [],
      )
      if (flags['staticKeyFile'] !== undefined) {
        flags['staticKeyFile'] = join(temporaryFolder(context), 'key')
        writeFileSync(flags['staticKeyFile'], key)
      }
      const settings = readServeSettings(flags, {
        ASHERAH_SERVICE_NAME: 's',
        ASHERAH_PRODUCT_NAME: 'p',
        ...environment,
      })
      assert.equal(settings.socket.mode, 0o660)
      assert.match(settings.socket.path, /sidecar\.sock$/)
    })
  }

  test('the ports and paths of one sample agree with each other', () => {
    const { containerDefinitions } = JSON.parse(sample('ecs-task-definition.json')) as {
      readonly containerDefinitions: readonly {
        readonly healthCheck?: { readonly command: readonly string[] }
      }[]
    }
    assert.equal(containerDefinitions.length, 2)
    const { flags } = named(sample('ecs-task-definition.json'))
    assert.deepEqual(containerDefinitions[0]?.healthCheck?.command.slice(-1), [
      `-addr=${flags['tcpAddress']}`,
    ])
  })
})
