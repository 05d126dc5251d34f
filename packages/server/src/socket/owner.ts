import { readFileSync } from 'node:fs'

/** Numbers of a user and a group; undefined: left as it is. */
export interface Owner {
  readonly user: number | undefined
  readonly group: number | undefined
}

/** `user:group`, `user`, or `:group`, by names or numbers; undefined when one of them is not known here. */
export function ownerOf(text: string): Owner | undefined {
  const [user = '', group = '', ...rest] = text.split(':')
  const userId = user === '' ? undefined : numberOf(user, '/etc/passwd')
  const groupId = group === '' ? undefined : numberOf(group, '/etc/group')
  if (rest.length > 0 || (user === '' && group === '')) return undefined
  if ((user !== '' && userId === undefined) || (group !== '' && groupId === undefined)) return undefined
  return Object.freeze({ user: userId, group: groupId })
}

/** The third field of a line of passwd(5) or group(5). */
function numberOf(name: string, file: string): number | undefined {
  if (/^\d{1,10}$/.test(name)) return Number(name)
  let lines: readonly string[]
  try {
    lines = readFileSync(file, 'utf8').split('\n')
  } catch {
    // A machine without the file has no names, only numbers.
    return undefined
  }
  const line = lines.find((one) => one.startsWith(`${name}:`))
  const id = line?.split(':')[2]
  return id !== undefined && /^\d+$/.test(id) ? Number(id) : undefined
}
