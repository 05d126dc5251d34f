import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { type ConfigProblem, ConfigurationError } from 'asherah'
import { type KeyName, schema } from 'asherah/admin'
import { systemCode } from '../errors.ts'
import type { GrpcLimits } from '../grpc/grpc-server.ts'
import { type Owner, ownerOf } from '../socket/owner.ts'
import { flagValue } from './flag-value.ts'
import { LibrarySettings } from './library-settings.ts'
import {
  attributeName,
  librarySettings,
  longName,
  type OwnName,
  ownSettings,
  type ServeFlag,
  secretVariables,
} from './serve-flags.ts'

/** Values by commander's name for the flag: texts, or true for a boolean flag without a value. */
export type Flags = Readonly<Record<string, unknown>>
export type Environment = Readonly<Record<string, string | undefined>>

export interface SocketSettings {
  readonly path: string
  /** Undefined: what the umask gives. */
  readonly mode: number | undefined
  readonly owner: Owner | undefined
}

export interface TcpAddress {
  readonly host: string
  /** 0: any that is free. */
  readonly port: number
}

export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  readonly clientAuthority: string
}

/** What a sidecar is to do: checked, complete, frozen. */
export interface ServeSettings {
  readonly socket: SocketSettings
  readonly tcp: (TcpAddress & { readonly tls: TlsFiles | undefined }) | undefined
  readonly health: TcpAddress | undefined
  readonly workers: number
  readonly limits: GrpcLimits
  readonly drainTimeoutMs: number
  /** Whether debug events are logged. */
  readonly verbose: boolean
  readonly library: LibrarySettings
  /** What the user should be warned of. */
  readonly notices: readonly string[]
}

/** The protocol's bound; clients set theirs to the same. */
const maxMessageBytes = 65 * 1024 * 1024
/** Of `sun_path`, without the byte that ends it: Linux has 108, macOS and the BSDs 104. */
export const mostPathBytes = process.platform === 'linux' ? 107 : 103

/**
 * Reads what `asherah serve` was given: flags before variables, those before the library's own variables (contract section
 * 5.2), and those before the configuration file.
 *
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong, each with what to type.
 *
 * @example
 * ```ts
 * const settings = readServeSettings({ service: 'api', product: 'shop', metastore: 'memory', kms: 'static' }, process.env)
 * const sidecar = await serve(settings)
 * ```
 */
export function readServeSettings(flags: Flags, environment: Environment): ServeSettings {
  return new Reader(flags, environment).settings()
}

class Reader {
  readonly #flags: Flags
  readonly #environment: Environment
  readonly #problems: ConfigProblem[] = []
  readonly #notices: string[] = []

  constructor(flags: Flags, environment: Environment) {
    this.#flags = flags
    this.#environment = environment
  }

  settings(): ServeSettings {
    const socket = this.#socket()
    const tcp = this.#tcp()
    const health = this.#address('healthAddress')
    const workers = this.#number('workers', 1, 1)
    const limits = this.#limits()
    const drainTimeoutMs = this.#number('shutdownDrainTimeout', 5000, 0)
    const library = this.#library()
    if (library === undefined || this.#problems.length > 0) throw new ConfigurationError(this.#problems)
    const { config, secrets } = library.resolve()
    secrets.wipe()
    const { metastore, verbose } = config
    const alone =
      metastore.kind === 'memory' || (metastore.kind === 'sqlite' && metastore.path === ':memory:')
    if (workers > 1 && alone) {
      const message = '--workers cannot share a metastore in memory; type --workers 1, or another --metastore'
      throw new ConfigurationError([{ key: '--workers', message }])
    }
    return Object.freeze({
      socket,
      tcp,
      health,
      workers,
      limits,
      drainTimeoutMs,
      verbose,
      library,
      notices: Object.freeze([...this.#notices]),
    })
  }

  #socket(): SocketSettings {
    const given = this.#own('socketFile')
    const text = typeof given === 'string' ? given.replace(/^unix:(?:\/\/)?/, '') : '/tmp/appencryption.sock'
    if (text === '') this.#problem('socketFile', 'is empty; type the path of the socket')
    const mode = this.#own('socketMode')
    const owner = this.#own('socketOwner')
    const resolved = typeof owner === 'string' ? ownerOf(owner) : undefined
    if (owner !== undefined && resolved === undefined) {
      this.#problem('socketOwner', 'names no user or group of this machine; type numbers, such as 1000:1000')
    }
    return Object.freeze({
      path: resolve(text),
      mode: typeof mode === 'number' ? mode : undefined,
      owner: resolved,
    })
  }

  #tcp(): ServeSettings['tcp'] {
    const address = this.#address('tcpAddress')
    const names = ['tlsCert', 'tlsKey', 'tlsClientCa'] as const
    const [certificate, key, clientAuthority] = names.map((name) => this.#own(name))
    const files = [certificate, key, clientAuthority].filter((file) => file !== undefined)
    if (address === undefined) {
      if (files.length > 0 && this.#given('tcpAddress') === undefined) {
        this.#problem('tcpAddress', 'is required with the certificates of TLS; type --tcp-address HOST:PORT')
      }
      return undefined
    }
    if (files.length === 0) {
      if (!isLoopback(address.host)) {
        this.#problem(
          'tcpAddress',
          'is not a loopback address, so it needs mutual TLS; type --tls-cert FILE --tls-key FILE --tls-client-ca FILE',
        )
      }
      return Object.freeze({ ...address, tls: undefined })
    }
    for (const name of names) {
      if (this.#own(name) === undefined) {
        this.#problem(
          name,
          `is missing, and mutual TLS needs all three; type ${longName(ownSettings[name].flags)} FILE`,
        )
      }
    }
    return Object.freeze({
      ...address,
      tls: Object.freeze({
        certificate: String(certificate),
        key: String(key),
        clientAuthority: String(clientAuthority),
      }),
    })
  }

  #limits(): GrpcLimits {
    return Object.freeze({
      maxMessageBytes,
      maxStreams: this.#number('maxStreams', 10_000, 1),
      maxBytesInFlight: this.#number('maxBytesInFlight', 128 * 1024 * 1024, maxMessageBytes),
      idleTimeoutMs: this.#number('idleTimeout', 0, 0),
      stallTimeoutMs: this.#number('stallTimeout', 60_000, 1000),
    })
  }

  #library(): LibrarySettings | undefined {
    const overrides: Partial<Record<KeyName, unknown>> = {}
    // Variables first, so that flags replace them.
    for (const source of [this.#fromVariable, this.#fromFlag]) {
      for (const setting of librarySettings) {
        const given = source.call(this, setting)
        const value = given === undefined ? undefined : this.#value(setting, given)
        if (setting.key !== undefined && value !== undefined) overrides[setting.key] = value
      }
      if (source !== this.#fromVariable) continue
      for (const [variable, key] of secretVariables) {
        const text = this.#environment[variable]
        if (text !== undefined) overrides[key] = text
      }
    }
    if (this.#flags['conn'] !== undefined || this.#flags['connectionString'] !== undefined) {
      this.#notices.push(
        '--conn shows in the list of processes, with the password in it: use ASHERAH_CONNECTION_STRING or --conn-file.',
      )
    }
    try {
      return LibrarySettings.checked({ overrides, environment: this.#environment, file: this.#file() })
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      this.#problems.push(...error.problems)
      return undefined
    }
  }

  #file(): object {
    const path = this.#own('config')
    if (typeof path !== 'string') return {}
    const text = this.#read(path, longName(ownSettings.config.flags))
    let value: unknown
    try {
      value = text === undefined ? {} : JSON.parse(text)
    } catch {
      // The parser's own message would show a piece of the file.
      value = undefined
    }
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
    this.#problem('config', 'holds no JSON object; type the name of a file that holds one')
    return {}
  }

  #fromFlag({ flags, aliases }: ServeFlag): { readonly label: string; readonly text: string } | undefined {
    for (const name of [flags, ...aliases]) {
      const value = this.#flags[attributeName(name)]
      if (value !== undefined) return { label: longName(name), text: String(value) }
    }
    return undefined
  }

  #fromVariable({ environment }: ServeFlag): { readonly label: string; readonly text: string } | undefined {
    for (const label of environment) {
      const text = this.#environment[label]
      if (text !== undefined && text !== '') return { label, text }
    }
    return undefined
  }

  #given(name: OwnName): { readonly label: string; readonly text: string } | undefined {
    return this.#fromFlag(ownSettings[name]) ?? this.#fromVariable(ownSettings[name])
  }

  #value(setting: ServeFlag, given: { readonly label: string; readonly text: string }): unknown {
    const { key, kind } = setting
    const type = key === undefined ? undefined : schema[key].type
    if (kind === 'secret file' && key !== undefined) {
      // As editors leave it: with a line break at its end.
      return this.#read(given.text, given.label)?.replace(/\r?\n$/, '')
    }
    const unit = type?.kind === 'integer' && type.unit === 'milliseconds' ? 1 : 1000
    const found = flagValue(given.text, kind, unit)
    if ('problem' in found) {
      this.#problems.push({ key: given.label, message: `${given.label} ${found.problem}` })
      return undefined
    }
    return kind === 'duration' && key !== undefined ? Number(found.value) / unit : found.value
  }

  #own(name: OwnName): unknown {
    const given = this.#given(name)
    return given === undefined ? undefined : this.#value(ownSettings[name], given)
  }

  #number(name: OwnName, otherwise: number, least: number): number {
    const value = this.#own(name)
    if (typeof value !== 'number') return otherwise
    if (value < least) this.#problem(name, `is too small; type ${least} or more`)
    return value
  }

  #address(name: 'tcpAddress' | 'healthAddress'): TcpAddress | undefined {
    const text = this.#own(name)
    if (typeof text !== 'string') return undefined
    const [, bracketed, plain, port = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? []
    const host = bracketed ?? plain
    if (host === undefined || Number(port) > 65_535) {
      this.#problem(name, 'must be HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051')
      return undefined
    }
    // What a resolver makes of the name is not left to chance.
    return Object.freeze({ host: host === 'localhost' ? '127.0.0.1' : host, port: Number(port) })
  }

  #read(path: string, label: string): string | undefined {
    try {
      return readFileSync(path, 'utf8')
    } catch (error) {
      const message = `${label} cannot be read (${systemCode(error)}); type the name of a file that this user may read`
      this.#problems.push({ key: label, message })
      return undefined
    }
  }

  #problem(name: OwnName, rest: string): void {
    const label = this.#given(name)?.label ?? longName(ownSettings[name].flags)
    this.#problems.push({ key: label, message: `${label} ${rest}` })
  }
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}
