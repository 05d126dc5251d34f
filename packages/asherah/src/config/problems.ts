import { AsherahError } from '../errors.ts'

/** One thing that is wrong with a configuration. */
export interface ConfigProblem {
  /** The key as the user spelled it, or the environment variable. */
  readonly key: string
  /** A sentence that starts with the key, says what is wrong and what to do. Never holds a value that may be secret. */
  readonly message: string
}

/**
 * A configuration that cannot be used, with everything that is wrong with it. Its code is `ERR_CONFIG_INVALID`.
 *
 * @example
 * ```ts
 * try {
 *   new SessionFactory(JSON.parse(text))
 * } catch (error) {
 *   if (!(error instanceof ConfigurationError)) throw error
 *   for (const { key, message } of error.problems) console.error(key, message)
 * }
 * ```
 */
export class ConfigurationError extends AsherahError {
  /** In the order in which they were found; never empty. */
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super('ERR_CONFIG_INVALID', summary(problems))
    this.problems = Object.freeze(problems.map((problem) => Object.freeze({ ...problem })))
  }
}

/** What is found while a configuration is read: problems, which end it, and notices, which the user should see. */
export class Findings {
  readonly #problems: ConfigProblem[] = []
  readonly #notices: string[] = []

  /** `message` continues a sentence that starts with the key. */
  problem(key: string, message: string): void {
    const shown = displayed(key)
    this.#problems.push({ key, message: `${shown} ${message}` })
  }

  notice(message: string): void {
    this.#notices.push(message)
  }

  get notices(): readonly string[] {
    return this.#notices
  }

  throwIfAny(): void {
    if (this.#problems.length > 0) throw new ConfigurationError(this.#problems)
  }
}

/** A name that a user wrote, made fit for one line of a message. */
export function displayed(name: string): string {
  if (/^\w[\w. -]{0,39}$/.test(name)) return name
  return JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name)
}

/** What a value is, for a message; never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'object':
      return 'an object'
    case 'undefined':
      return 'undefined'
    default:
      return `a ${typeof value}`
  }
}

function summary(problems: readonly ConfigProblem[]): string {
  const [only] = problems
  if (problems.length === 1 && only !== undefined) return `The configuration is invalid: ${only.message}`
  const lines = problems.map((problem) => `\n- ${problem.message}`)
  return `The configuration has ${problems.length} problems:${lines.join('')}`
}
