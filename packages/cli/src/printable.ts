/**
 * A text that others chose, such as a partition or a record's key id, as a terminal may be given it: control characters, which
 * could hide or forge lines, are written as `\u001b`.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** {@link printable} for a text of several lines of ours. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
