import { jsonMembers } from './json-members.ts'
import { longestRow, type SourceRow } from './source-row.ts'
import { inputError, readText, type TextFile } from './text-file.ts'

/** @throws JobError `ERR_INPUT` */
export async function* jsonLines(file: TextFile): AsyncGenerator<SourceRow, void, undefined> {
  let rest = ''
  let line = 0
  let position = 0
  for await (const text of readText(file)) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const content of lines) {
      line++
      position += Buffer.byteLength(content) + 1
      if (content.trim() !== '') yield { line, position, values: members(file, line, content) }
    }
    if (rest.length > longestRow) throw tooLong(file, line + 1)
  }
  if (rest.trim() !== '')
    yield { line: line + 1, position: file.bytes, values: members(file, line + 1, rest) }
}

function members(file: TextFile, line: number, text: string): ReadonlyMap<string, string> {
  if (text.length > longestRow) throw tooLong(file, line)
  let values: ReadonlyMap<string, string> | undefined
  try {
    values = jsonMembers(text)
  } catch {
    // The parser's own message quotes the data.
    throw inputError(
      file.path,
      `line ${line} is not JSON. Each line must be one object, like {"name": "Ann"}`,
    )
  }
  if (values !== undefined) return values
  const array = line === 1 && text.trimStart().startsWith('[')
  const hint = array ? `. Convert it: jq -c '.[]' FILE > NEW.jsonl` : ' whose members have different names'
  throw inputError(file.path, `line ${line} must be one JSON object${hint}`)
}

function tooLong(file: TextFile, line: number) {
  return inputError(file.path, `line ${line} is longer than ${longestRow} characters. Split it first`)
}
