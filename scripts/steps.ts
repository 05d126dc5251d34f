import { type CommandOptions, run } from './command.ts'

/** What one step found. A step without tests of its own counts as one. */
export interface StepResult {
  readonly passed: number
  readonly failed: number
  /** One line for each test that was left out, with its reason. */
  readonly skipped: readonly string[]
  /** Shown in full when something failed. */
  readonly output: string
}

export interface Step {
  readonly name: string
  readonly action: () => Promise<StepResult>
}

/** After this long without an end, a step says that it is still at work. */
const patienceMs = 15_000

/** Runs steps, prints a line for each, and adds up what they report. */
export class StepRunner {
  #passed = 0
  #failed = 0
  readonly #skipped: string[] = []

  /** Runs one step; returns whether nothing in it failed. */
  async run(step: Step): Promise<boolean> {
    const start = performance.now()
    const reminder = setTimeout(() => console.log(`… ${step.name} is still at work`), patienceMs)
    const result = await step.action().catch(failure)
    clearTimeout(reminder)
    const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`.padStart(8)
    const succeeded = result.failed === 0 && result.passed > 0
    this.#passed += result.passed
    this.#failed += succeeded ? 0 : Math.max(result.failed, 1)
    this.#skipped.push(...result.skipped)
    const counts = result.passed + result.failed === 1 ? '' : `  ${describe(result)}`
    console.log(`${succeeded ? '✔' : '✖'} ${seconds}  ${step.name}${counts}`)
    if (!succeeded) console.log(indent(result.output.trim() || 'it printed nothing'))
    return succeeded
  }

  /** Runs lanes side by side, and the steps of a lane one after the other, each whether or not the one before passed. */
  async runLanes(...lanes: readonly (readonly Step[])[]): Promise<void> {
    await Promise.all(
      lanes.map(async (lane) => {
        for (const step of lane) await this.run(step)
      }),
    )
  }

  /** Runs steps of which each needs the one before; after a failure the rest counts as failed without being run. */
  async runChain(steps: readonly Step[]): Promise<boolean> {
    let broken: string | undefined
    for (const step of steps) {
      const action = broken === undefined ? step.action : async () => failure(`not run: ${broken} failed`)
      if (!(await this.run({ name: step.name, action }))) broken ??= step.name
    }
    return broken === undefined
  }

  /** Prints the closing line and returns the exit code: 1 when anything failed or nothing ran. */
  finish(): number {
    for (const line of this.#skipped) console.log(`skipped: ${line}`)
    const skipped = this.#skipped.length === 0 ? '' : `, ${this.#skipped.length} skipped`
    console.log(`${this.#passed} passed, ${this.#failed} failed${skipped}`)
    return this.#failed > 0 || this.#passed === 0 ? 1 : 0
  }
}

/** A step that is one command: it passes when the command exits with 0. */
export function commandStep(
  name: string,
  command: string,
  args: readonly string[],
  options?: CommandOptions,
): Step {
  return {
    name,
    action: async () => {
      const { code, output } = await run(command, args, options)
      return code === 0 ? success(output) : { passed: 0, failed: 1, skipped: [], output }
    },
  }
}

/** The result of a step that is one check and passed. */
export function success(output = ''): StepResult {
  return { passed: 1, failed: 0, skipped: [], output }
}

/** The result of a step that is one check and did not pass. */
export function failure(reason: unknown): StepResult {
  const output = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
  return { passed: 0, failed: 1, skipped: [], output }
}

function describe(result: StepResult): string {
  const failed = result.failed === 0 ? '' : `, ${result.failed} failed`
  return `${result.passed} passed${failed}`
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n')
}
