/** What a look at one thing found. */
export interface Finding {
  /** `fault`: it does not work, or not safely; `warning`: it works, and will not for ever or not for everyone. */
  readonly level: 'ok' | 'warning' | 'fault'
  /** One sentence. */
  readonly message: string
  /** What to do, for what is not `ok`. */
  readonly mend?: string
}

/** One look. What it throws is a fault, and its message says what to do. */
export interface HealthCheck {
  readonly name: string
  run(): Promise<readonly Finding[]>
}

export function ok(message: string): Finding {
  return { level: 'ok', message }
}

export function warning(message: string, mend: string): Finding {
  return { level: 'warning', message, mend }
}

export function fault(message: string, mend: string): Finding {
  return { level: 'fault', message, mend }
}

/** What a difference between another clock and ours means; `milliseconds`: theirs minus ours. */
export function clockFinding(whose: string, milliseconds: number): Finding {
  const seconds = Math.round(Math.abs(milliseconds) / 100) / 10
  const where = `The clock of ${whose} is ${seconds} s ${milliseconds < 0 ? 'behind' : 'ahead of'} this host's`
  const mend =
    'Have both set by NTP (chrony, systemd-timesyncd): keys are dated, and expire, by these clocks.'
  // Keys are dated by the minute; AWS refuses requests that are five minutes off.
  if (seconds >= 30) return fault(`${where}.`, mend)
  return seconds >= 5 ? warning(`${where}.`, mend) : ok(`${where}.`)
}
