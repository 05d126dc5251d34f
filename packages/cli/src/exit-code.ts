/** How the command ends. `docs/command.md` shows this table; scripts may rely on it. */
export const exitCode = {
  /** Done, or a dry run that showed what it would do. */
  done: 0,
  /** A metastore, a KMS or the machine failed; what the message names can be tried again. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The configuration is wrong. */
  configuration: 3,
  /** It looked, and something is wrong: a finding of `doctor`, a proof that failed, a record that does not decrypt. */
  found: 4,
  /** The key, record or partition that was named is not there. */
  absent: 5,
  /** Some of the work is done and some is not; the same command goes on where it stopped. */
  unfinished: 6,
  /** Interrupted by SIGINT or SIGTERM; as `unfinished`. */
  interrupted: 130,
} as const

export type ExitCode = (typeof exitCode)[keyof typeof exitCode]
