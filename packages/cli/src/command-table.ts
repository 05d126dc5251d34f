import type { CommandEntry } from './command.ts'

/** Every command, in the order of `asherah --help`. */
export const commandTable: readonly CommandEntry[] = [
  {
    name: 'doctor',
    summary: 'check the configuration, the metastore, the KMS, the clocks and the memory',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
  {
    name: 'init',
    summary: "print the statement that makes the metastore's table, or with --yes run it",
    load: async () => (await import('./commands/init.ts')).initCommand,
  },
  {
    name: 'encrypt',
    summary: 'seal a file, stdin, or columns of CSV or JSON Lines',
    load: async () => (await import('./commands/encrypt.ts')).encryptCommand,
  },
  {
    name: 'decrypt',
    summary: 'open a record, or columns of CSV or JSON Lines',
    load: async () => (await import('./commands/decrypt.ts')).decryptCommand,
  },
  {
    name: 'inspect',
    summary: 'show what a record is, and whether its keys are there, without decrypting it',
    load: async () => (await import('./commands/inspect.ts')).inspectCommand,
  },
  {
    name: 'keys list',
    summary: 'list keys by prefix, age and state',
    load: async () => (await import('./commands/keys-list.ts')).keysListCommand,
  },
  {
    name: 'keys show',
    summary: 'show every generation of one key, with its parent',
    load: async () => (await import('./commands/keys-show.ts')).keysShowCommand,
  },
  {
    name: 'keys tree',
    summary: 'draw the hierarchy with ages and counts',
    load: async () => (await import('./commands/keys-tree.ts')).keysTreeCommand,
  },
  {
    name: 'keys rotate',
    summary: 'write newer generations of keys; the older ones stay valid and go on decrypting',
    load: async () => (await import('./commands/keys-rotate.ts')).keysRotateCommand,
  },
  {
    name: 'keys revoke',
    summary: 'mark keys as revoked: they encrypt no more, and decrypt for ever',
    load: async () => (await import('./commands/keys-revoke.ts')).keysRevokeCommand,
  },
  {
    name: 'keys rewrap',
    summary: 'seal system keys anew for another KMS or other regions',
    load: async () => (await import('./commands/keys-rewrap.ts')).keysRewrapCommand,
  },
  {
    name: 'keys restore',
    summary: 'put rows back as the backup of a rewrap has them',
    load: async () => (await import('./commands/keys-restore.ts')).keysRestoreCommand,
  },
  {
    name: 'reencrypt',
    summary: 'seal records in a table or file anew, whose keys are old or revoked',
    load: async () => (await import('./commands/reencrypt.ts')).reencryptCommand,
  },
  {
    name: 'shred',
    summary: "destroy a partition's keys, so that its records can never be read (crypto-shredding)",
    load: async () => (await import('./commands/shred.ts')).shredCommand,
  },
  {
    name: 'serve',
    summary: 'serve sessions over gRPC on a Unix socket, to programs in any language',
    load: async () => (await import('./commands/serve.ts')).serveCommand,
  },
  {
    name: 'bench',
    summary: 'measure encryption and decryption with this configuration',
    load: async () => (await import('./commands/bench.ts')).benchCommand,
  },
  {
    name: 'configuration',
    summary: 'list every key of the configuration with its flag and its variable',
    load: async () => (await import('./commands/configuration.ts')).configurationCommand,
  },
]
