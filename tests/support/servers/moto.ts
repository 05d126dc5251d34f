import { randomBytes, randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { callAws } from './aws-json.ts'
import { freePort } from './free-port.ts'
import { pythonPackages } from './packages.ts'
import { ServerProcess } from './server-process.ts'

/**
 * moto: KMS and Secrets Manager for every region at one address. It keeps everything in memory. It refuses what another
 * region's key encrypted and a key that does not exist, but uses a disabled key: a region that is out is a fault proxy.
 */
export class MotoServer {
  readonly #port: number
  readonly #keepIn: string | undefined
  #process: ServerProcess | undefined

  private constructor(port: number, keepIn: string | undefined) {
    this.#port = port
    this.#keepIn = keepIn
  }

  /**
   * Starts a server (measured: 2 s), empty unless `keepIn` names a file: there it finds the keys and secrets that the last
   * one over this file left when it was ended with {@link stop}.
   */
  static async start(keepIn?: string): Promise<MotoServer> {
    const server = new MotoServer(await freePort(), keepIn)
    await server.restart()
    return server
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Starts it again on the same port; all keys and secrets that it does not keep in a file are gone. */
  async restart(): Promise<void> {
    await this.stop()
    const folder = join(import.meta.dirname, 'moto')
    const program =
      this.#keepIn === undefined ? ['-m', 'moto.server'] : [join(folder, 'keeping.py'), this.#keepIn]
    this.#process = ServerProcess.spawn({
      name: 'moto',
      command: await pythonPackages(join(folder, 'requirements.txt')),
      args: [...program, '-H', '127.0.0.1', '-p', String(this.#port)],
    })
    await this.#process.waitUntilReady(async () => {
      const response = await fetch(`${this.endpoint}/moto-api/data.json`, {
        signal: AbortSignal.timeout(5000),
      })
      await response.arrayBuffer()
      return response.ok || undefined
    })
  }

  /** Ends it in order: what it keeps is written. */
  async stop(): Promise<void> {
    await this.#process?.end('SIGTERM')
  }

  /** Ends it at once. */
  async remove(): Promise<void> {
    await this.#process?.end('SIGKILL')
  }
}

/** Makes a symmetric key in a region and returns its ARN. */
export async function createKmsKey(endpoint: string, region: string): Promise<string> {
  const place = { endpoint, region, service: 'kms' } as const
  const { KeyMetadata } = await callAws<{ KeyMetadata: { Arn: string } }>(place, 'TrentService.CreateKey', {})
  return KeyMetadata.Arn
}

/** Makes a key in each region: a region map as the configuration takes it. */
export async function createKmsKeys(
  endpoint: string,
  regions: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const keys = regions.map(async (region) => [region, await createKmsKey(endpoint, region)] as const)
  return Object.fromEntries(await Promise.all(keys))
}

/** The value of a secret: text or bytes. */
export type SecretValue = string | Uint8Array

/** Makes a secret and returns its ARN. */
export async function createSecret(endpoint: string, region: string, value: SecretValue): Promise<string> {
  const { ARN } = await callAws<{ ARN: string }>(
    { endpoint, region, service: 'secretsmanager' },
    'secretsmanager.CreateSecret',
    {
      Name: `asherah-${randomBytes(8).toString('hex')}`,
      ClientRequestToken: randomUUID(),
      ...secretMember(value),
    },
  )
  return ARN
}

/** Makes a new version of a secret current; the version before becomes AWSPREVIOUS. Returns the new version's id. */
export async function putSecretValue(
  endpoint: string,
  region: string,
  secret: string,
  value: SecretValue,
): Promise<string> {
  const { VersionId } = await callAws<{ VersionId: string }>(
    { endpoint, region, service: 'secretsmanager' },
    'secretsmanager.PutSecretValue',
    { SecretId: secret, ClientRequestToken: randomUUID(), ...secretMember(value) },
  )
  return VersionId
}

function secretMember(value: SecretValue): object {
  return typeof value === 'string'
    ? { SecretString: value }
    : { SecretBinary: Buffer.from(value).toString('base64') }
}
