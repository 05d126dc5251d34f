import {
  attributeOfFlag,
  flagOf,
  type KeyName,
  keyNames,
  peerVariables,
  schema,
  variableOf,
  variableOfFlag,
} from 'asherah/admin'

/** What the text of a flag or variable stands for. */
export type FlagKind =
  | 'text'
  /** The name of a file that holds a secret. */
  | 'secret file'
  | 'boolean'
  | 'duration'
  | 'integer'
  | 'bytes'
  | 'mode'
  | 'list'
  | 'map'

/** One setting of the sidecar. */
export interface ServeFlag {
  /** As commander takes it. */
  readonly flags: string
  /** Other names of the same flag, which help does not show. */
  readonly aliases: readonly string[]
  /** The first one that is set counts. */
  readonly environment: readonly string[]
  readonly description: string
  readonly kind: FlagKind
  /** Shown in help; the library's own defaults are in its schema. */
  readonly default?: string
  /** The key of the library's configuration that it sets. */
  readonly key?: KeyName
}

/** The names of the sidecar's own settings. */
export type OwnName = keyof typeof ownFlags

function flag(
  flags: string,
  environment: readonly string[],
  kind: FlagKind,
  description: string,
  more: { readonly default?: string; readonly aliases?: readonly string[] } = {},
): ServeFlag {
  return { flags, environment, kind, description, aliases: [], ...more }
}

const ownFlags = {
  socketFile: flag(
    '-s, --socket-file <path>',
    ['ASHERAH_SOCKET_FILE', 'ASHERAH_SOCKET'],
    'text',
    'Unix socket to listen on; a leading unix:// is taken off.',
    { default: '/tmp/appencryption.sock', aliases: ['--socket <path>'] },
  ),
  socketMode: flag(
    '--socket-mode <octal>',
    ['ASHERAH_SOCKET_MODE'],
    'mode',
    'Permissions of the socket, such as 660; without it, what the umask gives. Whoever may write to it may decrypt.',
  ),
  socketOwner: flag(
    '--socket-owner <user:group>',
    ['ASHERAH_SOCKET_OWNER'],
    'text',
    'Owner of the socket, by names or numbers; either may be left out.',
  ),
  tcpAddress: flag(
    '--tcp-address <host:port>',
    ['ASHERAH_TCP_ADDRESS'],
    'text',
    'Listen on TCP too: with mutual TLS, or without TLS on a loopback address only.',
  ),
  tlsCert: flag(
    '--tls-cert <path>',
    ['ASHERAH_TLS_CERT'],
    'text',
    'PEM file of the certificate chain for TCP.',
  ),
  tlsKey: flag('--tls-key <path>', ['ASHERAH_TLS_KEY'], 'secret file', 'PEM file of its private key.'),
  tlsClientCa: flag(
    '--tls-client-ca <path>',
    ['ASHERAH_TLS_CLIENT_CA'],
    'text',
    'PEM file of the authorities that certify clients; a client without a certificate is refused.',
  ),
  healthAddress: flag(
    '--health-address <host:port>',
    ['ASHERAH_HEALTH_ADDRESS'],
    'text',
    'Serve grpc.health.v1, and nothing else, on this TCP address without TLS, for a kubelet.',
  ),
  workers: flag(
    '--workers <count>',
    ['ASHERAH_WORKERS'],
    'integer',
    'Processes that share the connections.',
    { default: '1' },
  ),
  maxStreams: flag(
    '--max-streams <count>',
    ['ASHERAH_MAX_STREAMS'],
    'integer',
    'Most streams at a time in each process.',
    { default: '10000' },
  ),
  maxBytesInFlight: flag(
    '--max-bytes-in-flight <bytes>',
    ['ASHERAH_MAX_BYTES_IN_FLIGHT'],
    'bytes',
    'Most bytes of large messages that each process holds at a time; further ones wait. At least 65MiB.',
    { default: '128MiB' },
  ),
  idleTimeout: flag(
    '--idle-timeout <duration>',
    ['ASHERAH_IDLE_TIMEOUT'],
    'duration',
    'End a stream that has been idle for this long; 0 means never.',
    { default: '0' },
  ),
  stallTimeout: flag(
    '--stall-timeout <duration>',
    ['ASHERAH_STALL_TIMEOUT'],
    'duration',
    'End a stream whose client neither sends the rest of a message nor reads its answers for this long.',
    { default: '60s' },
  ),
  shutdownDrainTimeout: flag(
    '--shutdown-drain-timeout <duration>',
    ['ASHERAH_SHUTDOWN_DRAIN_TIMEOUT'],
    'duration',
    'Longest time that streams have to finish after SIGTERM or SIGINT.',
    { default: '5s' },
  ),
  config: flag(
    '--config <path>',
    ['ASHERAH_CONFIG'],
    'text',
    "JSON file with the library's configuration; flags and variables are stronger.",
  ),
} as const satisfies Readonly<Record<string, ServeFlag>>

/** Where the sidecars of other implementations have a name of their own for a key (contract section 7.3). */
const peerFlags: Readonly<Partial<Record<KeyName, string>>> = {
  serviceName: 'service',
  productId: 'product',
  metastore: 'metastore',
  kms: 'kms',
  connectionString: 'conn',
  staticMasterKeyHex: 'static-key',
}

/** The keys that a text can give. */
const textKeys: readonly KeyName[] = keyNames.filter((key) => schema[key].type.kind !== 'clock')

const noEffect = 'Accepted, without effect: '

/** Settings whose meaning the sidecar words for itself. */
const descriptions: Readonly<Partial<Record<KeyName, string>>> = {
  enableSessionCaching: `${noEffect}the sessions of all streams share their keys here.`,
  sessionCacheMaxSize: `${noEffect}the sessions of all streams share their keys here; see --ring-size.`,
  sessionCacheDuration: `${noEffect}the sessions of all streams share their keys here.`,
  verbose: 'Write debug events to the log too; they name partitions.',
}

const defaults: Readonly<Partial<Record<KeyName, string>>> = { kms: 'aws' }

function flagsOf(key: KeyName): readonly ServeFlag[] {
  const { type, meaning, group, default: libraryDefault } = schema[key]
  const usual = flagOf(key)
  const name = peerFlags[key] ?? usual
  const shown = defaults[key] ?? (libraryDefault === undefined ? undefined : String(libraryDefault))
  const description = descriptions[key] ?? (group === 'without effect' ? `${noEffect}${meaning}` : meaning)
  const environment = [peerVariables[key] ?? [], variableOf(key)].flat()
  const made = (
    option: string,
    placeholder: string,
    aliases: readonly string[],
    kind: FlagKind,
    short = '',
  ): ServeFlag => ({
    flags: `${short}--${option}${placeholder}`,
    aliases: aliases.filter((alias) => alias !== option).map((alias) => `--${alias}${placeholder}`),
    environment: kind === 'secret file' ? secretFileVariables(option, usual) : environment,
    description: kind === 'secret file' ? `File that holds it: ${meaning}` : description,
    kind,
    ...(shown !== undefined && { default: shown }),
    key,
  })
  switch (type.kind) {
    case 'secret': {
      const file = made(`${name}-file`, ' <path>', [`${usual}-file`], 'secret file')
      // The other sidecars take the connection string as a flag too; no other secret.
      return key === 'connectionString' ? [made(name, ' <text>', [usual], 'text'), file] : [file]
    }
    case 'flag':
      return [made(name, ' [boolean]', [usual], 'boolean', key === 'verbose' ? '-v, ' : '')]
    case 'integer':
      return type.unit === 'seconds' || type.unit === 'milliseconds'
        ? [made(name, ' <duration>', [usual], 'duration')]
        : [made(name, ' <count>', [usual], 'integer')]
    case 'texts':
      return [made(name, ' <a,b>', [usual], 'list')]
    case 'map':
      return [made(name, ' <name=value,…>', [usual], 'map')]
    default:
      return [made(name, ' <name>', [usual], 'text')]
  }
}

function secretFileVariables(option: string, usual: string): readonly string[] {
  return [...new Set([variableOfFlag(option), `${variableOfFlag(usual)}_FILE`])]
}

/** Secrets that may stand in a variable: its name to the key. The library's own variables count beside them. */
export const secretVariables: ReadonlyMap<string, KeyName> = new Map(
  textKeys.flatMap((key) =>
    schema[key].type.kind === 'secret' && key !== 'connectionString' ? [[variableOf(key), key] as const] : [],
  ),
)

/** The sidecar's own settings. */
export const ownSettings: Readonly<Record<OwnName, ServeFlag>> = ownFlags

/** The settings of the library that the sidecar takes: every key of its configuration, with secrets by file or variable. */
export const librarySettings: readonly ServeFlag[] = textKeys.flatMap(flagsOf)

/**
 * Every flag of `asherah serve`, for whoever declares or documents them.
 *
 * @example
 * ```ts
 * for (const { flags, description } of serveFlags) command.option(flags, description)
 * ```
 */
export const serveFlags: readonly ServeFlag[] = [...Object.values(ownFlags), ...librarySettings]

/** `-s, --socket-file <path>` as a user types it: `--socket-file`. */
export function longName(flags: string): string {
  return /--[\w-]+/.exec(flags)?.[0] ?? flags
}

/** The name under which commander keeps it: `socketFile`. */
export function attributeName(flags: string): string {
  return attributeOfFlag(longName(flags).slice(2))
}
