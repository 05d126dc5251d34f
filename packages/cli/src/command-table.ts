import type { CommandSpec } from './command.ts'
import { benchCommand } from './commands/bench.ts'
import { configurationCommand } from './commands/configuration.ts'
import { decryptCommand } from './commands/decrypt.ts'
import { doctorCommand } from './commands/doctor.ts'
import { encryptCommand } from './commands/encrypt.ts'
import { initCommand } from './commands/init.ts'
import { inspectCommand } from './commands/inspect.ts'
import { keysListCommand } from './commands/keys-list.ts'
import { keysRestoreCommand } from './commands/keys-restore.ts'
import { keysRevokeCommand } from './commands/keys-revoke.ts'
import { keysRewrapCommand } from './commands/keys-rewrap.ts'
import { keysRotateCommand } from './commands/keys-rotate.ts'
import { keysShowCommand } from './commands/keys-show.ts'
import { keysTreeCommand } from './commands/keys-tree.ts'
import { reencryptCommand } from './commands/reencrypt.ts'
import { serveCommand } from './commands/serve.ts'
import { shredCommand } from './commands/shred.ts'

/** Every command, in the order of `asherah --help`. */
export const commandTable: readonly CommandSpec[] = [
  doctorCommand,
  initCommand,
  encryptCommand,
  decryptCommand,
  inspectCommand,
  keysListCommand,
  keysShowCommand,
  keysTreeCommand,
  keysRotateCommand,
  keysRevokeCommand,
  keysRewrapCommand,
  keysRestoreCommand,
  reencryptCommand,
  shredCommand,
  serveCommand,
  benchCommand,
  configurationCommand,
]
