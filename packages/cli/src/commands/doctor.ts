import { AsherahError, ConfigurationError } from 'asherah'
import {
  type Config,
  type Finding,
  fault,
  type HealthCheck,
  type Metastore,
  metastoreChecks,
  type OpenedMetastore,
  ServiceKeyIds,
  SystemKeySealer,
} from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import {
  clockChecks,
  configurationFindings,
  keyChecks,
  kmsChecks,
  memoryChecks,
  variableFindings,
} from '../doctor/checks.ts'
import { type ExitCode, exitCode } from '../exit-code.ts'
import { openPresent } from '../opened.ts'

/** Checks everything that must be right before keys are relied on. Nothing is written. */
export const doctorCommand: CommandSpec = {
  configured: true,
  destructive: false,
  run: (context) => new Doctor(context).run(),
}

interface Timed {
  readonly check: string
  readonly milliseconds: number
}

class Doctor {
  readonly #context: CommandContext
  readonly #counts = { ok: 0, warning: 0, fault: 0 }

  constructor(context: CommandContext) {
    this.#context = context
  }

  async run(): Promise<ExitCode | undefined> {
    await this.#look({ name: 'variables', run: () => variableFindings(this.#context.host.environment) })
    const { config } = (await this.#try('configuration', () => this.#context.configuration())) ?? {}
    if (config === undefined) return this.#end()
    await this.#look({ name: 'configuration', run: async () => configurationFindings(this.#context, config) })
    for (const check of memoryChecks(config)) await this.#look(check)
    const opened = await this.#try('metastore', () => openPresent(this.#context.configuration()))
    const sealer = await this.#try('KMS', () => SystemKeySealer.open(this.#context.configuration()))
    try {
      const reached = opened !== undefined && (await this.#metastore(config.metastore, opened.metastore))
      if (sealer !== undefined) await this.#all(kmsChecks(sealer))
      await this.#all(clockChecks(this.#context, config))
      if (reached) await this.#all(keyChecks(opened.admin, new ServiceKeyIds(config), sealer))
    } finally {
      await this.#close(opened, sealer)
    }
    return this.#end()
  }

  /** False when it cannot be reached: then every other look at it would end the same way, and take as long. */
  async #metastore(config: Config['metastore'], metastore: Metastore): Promise<boolean> {
    const [reach, ...others] = metastoreChecks(config, metastore)
    if (reach !== undefined && !(await this.#look(reach))) return false
    await this.#all(others)
    return true
  }

  async #all(checks: readonly HealthCheck[]): Promise<void> {
    for (const check of checks) {
      await this.#context.checkInterrupted()
      await this.#look(check)
    }
  }

  /** Something that the rest needs; where it fails, that is the finding. */
  async #try<T>(name: string, open: () => T | Promise<T>): Promise<T | undefined> {
    const started = performance.now()
    try {
      return await open()
    } catch (error) {
      const timed = { check: name, milliseconds: performance.now() - started }
      for (const finding of findingsOf(error)) await this.#tell(timed, finding)
      return undefined
    }
  }

  /** False when it could not look. */
  async #look({ name, run }: HealthCheck): Promise<boolean> {
    const started = performance.now()
    let findings: readonly Finding[]
    let looked = true
    try {
      findings = await run()
    } catch (error) {
      findings = findingsOf(error)
      looked = false
    }
    const timed = { check: name, milliseconds: performance.now() - started }
    for (const finding of findings) await this.#tell(timed, finding)
    return looked
  }

  async #tell({ check, milliseconds }: Timed, finding: Finding): Promise<void> {
    const { level, message, mend } = finding
    this.#counts[level] += 1
    const rounded = Math.round(milliseconds * 10) / 10
    await this.#context.output.tell(
      { check, level, message, ...(mend !== undefined && { mend }), milliseconds: rounded },
      () => {
        const sign = { ok: 'ok     ', warning: 'WARNING', fault: 'FAULT  ' }[level]
        const first = `${sign}  ${check.padEnd(24)}  ${`${rounded} ms`.padStart(10)}  ${message}`
        return mend === undefined ? first : `${first}\n${indented(mend)}`
      },
    )
  }

  async #end(): Promise<ExitCode> {
    const { fault: faults, warning: warnings } = this.#counts
    await this.#context.output.heading(
      `${faults} ${faults === 1 ? 'fault' : 'faults'}, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`,
    )
    return faults > 0 ? exitCode.found : exitCode.done
  }

  async #close(opened: OpenedMetastore | undefined, sealer: SystemKeySealer | undefined): Promise<void> {
    try {
      await opened?.admin.close()
    } finally {
      await sealer?.close()
    }
  }
}

/** What an error says, and says to do: messages of the library end with what to do. */
function findingsOf(error: unknown): readonly Finding[] {
  if (error instanceof ConfigurationError) {
    return error.problems.map(({ message }) =>
      fault(
        `${message}.`,
        'Correct it in the file, the variable or the flag: asherah configuration lists all keys.',
      ),
    )
  }
  if (error instanceof AsherahError) {
    const [message = '', ...more] = error.message.split('\n')
    return [fault(message, [`docs/errors.md, ${error.code}`, ...more].join('\n'))]
  }
  if (error instanceof CommandError) {
    if (error.code === 'ERR_INTERRUPTED') throw error
    return [fault(error.message, error.hint ?? 'asherah doctor --help')]
  }
  throw error
}

function indented(text: string): string {
  const [first = '', ...rest] = text.split('\n')
  return [`         mend: ${first}`, ...rest.map((line) => `               ${line}`)].join('\n')
}
