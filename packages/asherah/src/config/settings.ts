import type { Findings } from './problems.ts'
import { type KeyName, schema } from './schema.ts'
import { problemOf } from './values.ts'

/** A value and the name under which the user gave it. */
export interface Given {
  readonly value: unknown
  readonly label: string
}

export interface SettingsOptions {
  readonly origin: 'object' | 'environment'
  readonly given: ReadonlyMap<KeyName, Given>
  /** Keys whose value could not be read at all; a problem has been noted for each. */
  readonly broken: ReadonlySet<KeyName>
  /** How to name a key that was not given. */
  readonly nameOf: (key: KeyName) => string
  readonly findings: Findings
}

/**
 * What was given, each value checked against the schema. A key with a problem reads as its default, so that one mistake
 * is reported once; the findings end the configuration anyway.
 */
export class Settings {
  readonly origin: 'object' | 'environment'
  readonly findings: Findings
  readonly #given: ReadonlyMap<KeyName, Given>
  readonly #nameOf: (key: KeyName) => string
  readonly #broken: Set<KeyName>

  constructor(options: SettingsOptions) {
    this.origin = options.origin
    this.findings = options.findings
    this.#given = options.given
    this.#nameOf = options.nameOf
    this.#broken = new Set(options.broken)
    for (const [key, { value }] of options.given) {
      const problem = problemOf(value, schema[key])
      if (problem !== undefined) this.problem(key, problem)
    }
  }

  /** The key as the user spells it. */
  nameOf(key: KeyName): string {
    return this.#given.get(key)?.label ?? this.#nameOf(key)
  }

  /** Whether the key was given, be it with a problem. */
  isGiven(key: KeyName): boolean {
    return this.#given.has(key) || this.#broken.has(key)
  }

  isBroken(key: KeyName): boolean {
    return this.#broken.has(key)
  }

  /** Notes what is wrong with a key, as the rest of a sentence that starts with its name. */
  problem(key: KeyName, message: string): void {
    this.#broken.add(key)
    this.findings.problem(this.nameOf(key), message)
  }

  /** The value as given. */
  value(key: KeyName): unknown {
    return this.#broken.has(key) ? undefined : this.#given.get(key)?.value
  }

  flag(key: KeyName): boolean {
    return this.#orDefault(key) === true
  }

  integer(key: KeyName): number {
    const value = this.#orDefault(key)
    if (typeof value !== 'number') throw new TypeError(`${key} is no number in the schema`)
    return value
  }

  /** The text of a key that is needed now; empty is a problem. */
  text(key: KeyName): string | undefined {
    const value = this.#orDefault(key)
    if (typeof value !== 'string') return undefined
    if (value !== '') return value
    this.problem(key, 'is empty; give a value or leave it out')
    return undefined
  }

  /** The text of a key that must be there; `why` ends the sentence "… is required". */
  requiredText(key: KeyName, why = ''): string | undefined {
    if (!this.isGiven(key) && schema[key].default === undefined) this.problem(key, `is required${why}`)
    return this.text(key)
  }

  /** One of the names of a choice, in lower case. */
  choice(key: KeyName): string | undefined {
    return this.text(key)?.toLowerCase()
  }

  texts(key: KeyName): readonly string[] {
    const value = this.value(key)
    return Array.isArray(value) ? value.map(String) : []
  }

  map(key: KeyName): ReadonlyMap<string, string> | undefined {
    const value = this.value(key)
    return typeof value === 'object' && value !== null ? new Map(Object.entries(value)) : undefined
  }

  #orDefault(key: KeyName): unknown {
    return this.value(key) ?? schema[key].default
  }
}
