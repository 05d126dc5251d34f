import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { provide, pythonPackages } from './packages.ts'
import { findProgram, runTool } from './tool.ts'

const folder = import.meta.dirname
const protos = join(folder, '..', '..', '..', 'packages', 'server', 'proto')
const proto = join(protos, 'appencryption.proto')
const goSources = ['go.mod', 'go.sum', 'main.go'].map((file) => join(folder, 'grpc-go', file))
const requirements = join(folder, 'grpc-python', 'requirements.txt')
const pythonClient = join(folder, 'grpc-python', 'client.py')

const buildTimeoutMs = 15 * 60_000

/** Clients of gRPC that are not ours, each the command to start it with. */
export interface GrpcClients {
  /** Over grpcio; takes a target, and requests as JSON lines. */
  readonly python: readonly [command: string, ...args: string[]]
  /** Over grpc-go; the same. */
  readonly go: readonly [command: string]
  readonly grpcurl: string
  readonly ghz: string
}

/** Downloads, generates from the protocol, and builds the clients. Kept in build/ between runs. */
export async function prepareGrpcClients(): Promise<GrpcClients> {
  const python = await pythonPackages(requirements)
  const [client, tools] = await Promise.all([pythonFolder(python), goFolder(python)])
  const bin = (name: string): string => join(tools, 'bin', name)
  return {
    python: [python, '-u', join(client, 'client.py')],
    go: [bin('client')],
    grpcurl: bin('grpcurl'),
    ghz: bin('ghz'),
  }
}

function pythonFolder(python: string): Promise<string> {
  return provide('grpc-python', [proto, pythonClient, requirements], async (own) => {
    cpSync(pythonClient, join(own, 'client.py'))
    await protoc(python, own, [`--python_out=${own}`, `--grpc_python_out=${own}`])
  })
}

function goFolder(python: string): Promise<string> {
  return provide('grpc-go', [proto, ...goSources], async (own) => {
    for (const source of goSources) cpSync(source, join(own, source.slice(join(folder, 'grpc-go').length)))
    const api = join(own, 'api')
    const bin = join(own, 'bin')
    mkdirSync(api)
    mkdirSync(bin)
    const go = (...args: readonly string[]): Promise<string> =>
      runTool(findProgram('go', ['/usr/local/go/bin']), args, { cwd: own, timeoutMs: buildTimeoutMs })
    await go('build', '-o', `${bin}/`, 'tool')
    const options = 'paths=source_relative,Mappencryption.proto=asherah/tests/grpc/api'
    await protoc(python, own, [
      ...[`--plugin=${bin}/protoc-gen-go`, `--go_out=${api}`, `--go_opt=${options}`],
      ...[`--plugin=${bin}/protoc-gen-go-grpc`, `--go-grpc_out=${api}`, `--go-grpc_opt=${options}`],
    ])
    await go('build', '-o', join(bin, 'client'), '.')
  })
}

async function protoc(python: string, cwd: string, outputs: readonly string[]): Promise<void> {
  await runTool(python, ['-m', 'grpc_tools.protoc', `-I${protos}`, ...outputs, proto], { cwd })
}
