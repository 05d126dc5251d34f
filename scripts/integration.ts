import { globSync } from 'node:fs'
import { availableParallelism, constants } from 'node:os'
import { join } from 'node:path'
import { prepareGrpcClients } from '../tests/support/servers/grpc-clients.ts'
import { mavenPackages, pythonPackages } from '../tests/support/servers/packages.ts'
import { preparePeers } from '../tests/support/servers/peer.ts'
import {
  createRunFolder,
  removeServerFolder,
  serversVariable,
} from '../tests/support/servers/server-folder.ts'
import { startTestServers } from '../tests/support/servers/test-servers.ts'
import { root } from './command.ts'
import { type Step, type StepResult, success } from './steps.ts'
import { runNodeTests, serverSuites } from './unit.ts'

const servers = join(root, 'tests', 'support', 'servers')

/** Everything that the servers and peers need beyond the system's packages; kept in build/ between runs. */
export const testPackages: Step = {
  name: 'packages of the test servers',
  action: async () => {
    await Promise.all([
      mavenPackages(join(servers, 'dynamodb-local', 'pom.xml')),
      pythonPackages(join(servers, 'moto', 'requirements.txt')),
      preparePeers(),
      prepareGrpcClients(),
    ])
    return success()
  },
}

/** node:test against real servers, which are started once for all files and ended whatever happens. */
export function integrationTests(patterns: readonly string[]): Step {
  return { name: 'node:test with servers', action: () => runWithServers(patterns) }
}

async function runWithServers(patterns: readonly string[]): Promise<StepResult> {
  const wanted = patterns.length > 0 ? patterns : serverSuites.map((suite) => `${suite}/*.test.ts`)
  const files = globSync([...wanted], { cwd: root, exclude: ['**/node_modules/**'] }).toSorted()
  const folder = createRunFolder()
  const file = join(folder, 'servers.json')
  const interrupted = new AbortController()
  const interrupt = (signal: 'SIGINT' | 'SIGTERM'): void => {
    interrupted.abort()
    process.exit(128 + constants.signals[signal])
  }
  const clean = (): void => removeServerFolder(folder)
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  // The servers' own exit handler, which kills them, was installed before this one.
  process.on('exit', clean)
  process.env[serversVariable] = file
  try {
    const start = performance.now()
    const servers = await startTestServers(file)
    console.log(`  servers are up after ${((performance.now() - start) / 1000).toFixed(1)} s`)
    try {
      return await runNodeTests(files, availableParallelism(), interrupted.signal)
    } finally {
      await servers.stop()
    }
  } finally {
    delete process.env[serversVariable]
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
    process.off('exit', clean)
    clean()
  }
}
