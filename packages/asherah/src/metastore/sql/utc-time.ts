/** 0001-01-01 00:00:00 in Unix seconds. */
export const firstSecondOfYear1 = -62_135_596_800
/** 1000-01-01 00:00:00, where MySQL's DATETIME begins. */
export const firstSecondOfYear1000 = -30_610_224_000
/** 9999-12-31 23:59:59, the last second whose year has four digits. */
export const lastSecondOfYear9999 = 253_402_300_799

/** Unix seconds as `YYYY-MM-DD HH:MM:SS` in UTC (contract section 4.4); undefined outside `first` and the year 9999. */
export function toUtcText(seconds: number, first: number): string | undefined {
  if (!Number.isInteger(seconds) || seconds < first || seconds > lastSecondOfYear9999) return undefined
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')
}

/** Unix seconds of `YYYY-MM-DD HH:MM:SS` in UTC, a fraction of zeros allowed; undefined for any other text. */
export function fromUtcText(text: string): number | undefined {
  const [, whole] = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.0+)?$/.exec(text) ?? []
  if (whole === undefined) return undefined
  const seconds = Date.parse(`${whole.replace(' ', 'T')}Z`) / 1000
  // Not every text of that form is a date.
  return toUtcText(seconds, firstSecondOfYear1) === whole ? seconds : undefined
}
