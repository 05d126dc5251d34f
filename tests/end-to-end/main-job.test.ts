import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertExactKeyRow, assertExactRecord, decryptRecord } from '../support/oracle.ts'
import { Folder } from './protect-columns.ts'

const database = '.asherah-demo/birdstrikes.db'
const keyFile = `${database}.master-key`
const sealedColumns = [
  'Airport Name',
  'Aircraft Make Model',
  'Effect Amount of damage',
  'Cost Other',
  'Cost Repair',
  'Cost Total $',
]
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const controlCodes = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/

/** The default file, read without the job's parser: it has no quoted field. */
function birdStrikes(): Record<string, string>[] {
  const index = fileURLToPath(import.meta.resolve('vega-datasets'))
  const text = readFileSync(index.replace(/build[\\/]index\.js$/, 'data/birdstrikes.csv'), 'utf8')
  assert.ok(!text.includes('"'))
  const [header = '', ...lines] = text.trim().split(/\r?\n/)
  const names = header.split(',')
  return lines.map((line) => Object.fromEntries(line.split(',').map((value, at) => [names[at], value])))
}

describe('the main job on its default file', () => {
  const folder = new Folder()
  let first: Awaited<ReturnType<Folder['run']>>
  before(async () => {
    first = await folder.run([])
  })
  after(() => folder[Symbol.dispose]())

  test('seals everything, checks it and draws a picture', () => {
    assert.deepEqual({ code: first.code, stderr: first.stderr }, { code: 0, stderr: '' })
    assert.match(first.stdout, /all 10,000 rows are what .*birdstrikes\.csv says, byte for byte/)
    assert.match(first.stdout, /3 generations of _SK_protect-columns_demo/)
    assert.match(first.stdout, /the clock was moved by 240 days; keys expire after 90/)
    assert.match(first.stdout, /encrypt +10,000 .* (µs|ms)/)
    assert.match(first.stdout, /decrypt +10,000 .* (µs|ms)/)
    assert.match(first.stdout, /\d (KB|MB) locked/)
    assert.match(first.stdout, /npm start -- --verify-only/)
    assert.ok(first.stdout.includes(database))
  })

  test('writes no control code where there is no terminal', () => {
    assert.doesNotMatch(first.stdout, controlCodes)
  })

  test('keeps the master key to the user, and unsaid', () => {
    const key = readFileSync(folder.file(keyFile), 'utf8').trim()
    assert.match(key, /^[0-9a-f]{64}$/)
    assert.ok(!first.stdout.includes(key))
    for (const file of [keyFile, database]) assert.equal(statSync(folder.file(file)).mode & 0o777, 0o600)
    assert.equal(readFileSync(folder.file('.asherah-demo/.gitignore'), 'utf8'), '*\n')
  })

  test('has several generations of system and intermediate keys, each with records', () => {
    const perKey = folder.sql(
      database,
      "SELECT _sealed ->> '$.Key.ParentKeyMeta.Created' AS created, count(*) AS n FROM protected_row WHERE _owner = ? GROUP BY 1",
      'AMERICAN AIRLINES',
    )
    assert.ok(perKey.length >= 3)
    const rows = folder.keyRows(database)
    assert.equal(rows.filter(({ id }) => id.startsWith('_SK_')).length, 3)
    const created = rows.map((row) => row.created)
    assert.ok(Math.max(...created) - Math.min(...created) >= 180 * 86_400)
  })

  test('can be opened by an implementation that shares no code with the library', () => {
    const master = readFileSync(folder.file(keyFile), 'utf8').trim()
    const keys = folder.keyRows(database)
    keys.forEach(assertExactKeyRow)
    const source = birdStrikes()
    const stored = folder.sql(database, 'SELECT * FROM protected_row ORDER BY _row')
    assert.equal(stored.length, source.length)
    for (let at = 0; at < stored.length; at += 97) {
      const [row, wanted] = [stored[at] ?? {}, source[at] ?? {}]
      const record = String(row['_sealed'])
      assertExactRecord(record)
      const sensitive = Object.fromEntries(sealedColumns.map((column) => [column, wanted[column]]))
      const opened = JSON.parse(decryptRecord(master, keys, record).toString())
      assert.deepEqual({ ...opened }, sensitive)
      assert.equal(row['_owner'], wanted['Aircraft Airline Operator'])
      assert.equal(row['Wildlife Species'], wanted['Wildlife Species'])
      assert.deepEqual(
        sealedColumns.filter((column) => column in row),
        [],
      )
    }
  })

  test('leaves nothing of the sensitive columns in the file', () => {
    const bytes = readFileSync(folder.file(database))
    assert.ok(bytes.includes('Wildlife Species'))
    for (const secret of ['BARKSDALE AIR FORCE', 'B-737-300', 'Airport Name'])
      assert.ok(!bytes.includes(secret), secret)
  })

  test('can be checked again without its source being named', async () => {
    const { code, stdout } = await folder.run(['--verify-only', '--database', database])
    assert.equal(code, 0)
    assert.match(stdout, /all 10,000 rows/)
  })

  test('runs again, and keeps its keys', async () => {
    const keys = folder.keyRows(database)
    const { code, stdout } = await folder.run([])
    assert.equal(code, 0)
    assert.match(stdout, /replaces +10,000 rows/)
    const later = new Map(folder.keyRows(database).map((row) => [`${row.id} ${row.created}`, row.keyRecord]))
    for (const { id, created, keyRecord } of keys) assert.equal(later.get(`${id} ${created}`), keyRecord)
    assert.ok(later.size > keys.length)
  })

  describe('after somebody has changed the database', () => {
    const flipByte =
      "UPDATE protected_row SET _sealed = replace(_sealed, '\"Data\":\"' || substr(_sealed, instr(_sealed, '\"Data\":\"') + 8, 1), '\"Data\":\"' || iif(substr(_sealed, instr(_sealed, '\"Data\":\"') + 8, 1) = 'A', 'B', 'A')) WHERE _row = 4321"
    const changes = [
      ['a byte of a record', flipByte, /line 4322 cannot be opened: ERR_RECORD_DATA_AUTHENTICATION/],
      [
        'another row of the same owner',
        'UPDATE protected_row SET _sealed = (SELECT _sealed FROM protected_row WHERE _row = 2) WHERE _row = 1',
        /line 2 opens to other values/,
      ],
      [
        "another owner's record",
        "UPDATE protected_row SET _sealed = (SELECT _sealed FROM protected_row WHERE _owner = 'AMERICAN AIRLINES' LIMIT 1) WHERE _row = 1",
        /line 2 cannot be opened: ERR_RECORD_FOREIGN/,
      ],
      ['the owner', "UPDATE protected_row SET _owner = 'NOBODY' WHERE _row = 9", /line 10 has another owner/],
      [
        'a plain value',
        'UPDATE protected_row SET "Wildlife Species" = \'Dodo\' WHERE _row = 10000',
        /line 10001 has another "Wildlife Species"/,
      ],
      [
        'a lost key',
        "DELETE FROM encryption_key WHERE id GLOB '_IK_MILITARY_*'",
        /line 2 cannot be opened: ERR_KEY_NOT_FOUND/,
      ],
      ['a lost row', 'DELETE FROM protected_row WHERE _row = 5000', /line 5001 is missing/],
      ['a lost last row', 'DELETE FROM protected_row WHERE _row = 10000', /line 10001 is missing/],
    ] as const
    for (const [what, statement, report] of changes) {
      test(`reports ${what}`, async () => {
        const bytes = readFileSync(folder.file(database))
        try {
          folder.sql(database, statement)
          const { code, stderr } = await folder.run(['--verify-only'])
          assert.equal(code, 1)
          assert.match(stderr, report)
          assert.equal(stderr.trimEnd().split('\n').length, 1)
        } finally {
          writeFileSync(folder.file(database), bytes)
        }
      })
    }
  })

  test('reports a source that has lost a row', async () => {
    const rows = birdStrikes().slice(0, -1)
    const lines = [Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row))].map((row) =>
      row.join(','),
    )
    writeFileSync(folder.file('short.csv'), lines.join('\n'))
    const { code, stderr } = await folder.run(['--verify-only', 'short.csv', '--database', database])
    assert.equal(code, 1)
    assert.match(stderr, /it has more rows than the 9999 of short\.csv\n$/)
  })

  describe('with a master key that', () => {
    const cases = [
      ['is another', (file: string) => writeFileSync(file, 'ab'.repeat(32)), 1, /cannot be opened: ERR_/],
      ['is lost', (file: string) => rmSync(file), 2, /is missing, and nothing else opens .*Restore it/],
      [
        'is no key',
        (file: string) => writeFileSync(file, 'secret'),
        2,
        /does not hold 64 hexadecimal digits/,
      ],
      ['others can read', (file: string) => chmodSync(file, 0o644), 2, /chmod 600/],
    ] as const
    for (const [what, change, wanted, report] of cases) {
      test(`${what} ends in one line`, async () => {
        const file = folder.file(keyFile)
        const key = readFileSync(file)
        try {
          change(file)
          const { code, stderr } = await folder.run(['--verify-only'])
          assert.equal(code, wanted)
          assert.match(stderr, report)
          assert.equal(stderr.trimEnd().split('\n').length, 1)
          assert.ok(!stderr.includes('abab'))
        } finally {
          rmSync(file, { force: true })
          writeFileSync(file, key, { mode: 0o600 })
        }
      })
    }
  })
})

describe('the main job on any file', () => {
  test('takes JSON Lines, and gives numbers back as they were written', async () => {
    using folder = new Folder()
    const rows = [
      '{"customer":"ann","total":1.0,"big":12345678901234567890,"tags":["}",{"a":"\\""}]}',
      '',
      '{"total": 1e2, "customer": 7, "note": "\\u0000 \\ud83e\\udd89 é"}',
      '{"customer":"ann"}',
    ]
    writeFileSync(folder.file('orders.jsonl'), rows.join('\n'))
    const args = ['orders.jsonl', '--columns', 'total,big,note', '--database', 'out/keys.db']
    const { code, stdout, stderr } = await folder.run(args)
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    assert.match(stdout, /owner +"customer" \(chosen for you; --partition-column NAME changes it\)/)
    assert.match(stdout, /all 3 rows/)
    const stored = folder.sql('out/keys.db', 'SELECT * FROM protected_row ORDER BY _row')
    assert.deepEqual(
      stored.map(({ _owner, tags }) => [_owner, tags]),
      [
        ['ann', '["}",{"a":"\\""}]'],
        ['7', null],
        ['ann', null],
      ],
    )
    const master = readFileSync(folder.file('out/keys.db.master-key'), 'utf8').trim()
    const keys = folder.keyRows('out/keys.db')
    assert.deepEqual(
      stored.map(({ _sealed }) => decryptRecord(master, keys, String(_sealed)).toString()),
      ['{"total":1.0,"big":12345678901234567890}', '{"total":1e2,"note":"\\u0000 \\ud83e\\udd89 é"}', '{}'],
    )
  })

  test('takes CSV with quotes, line ends, other alphabets and control codes', async () => {
    using folder = new Folder()
    const fields = ['say ""hi""', 'two\r\nlines', 'Zoë 数据 🦉', '\u001b[31mred', ' kept  ', '']
    const lines = fields.map((field, at) => `${at % 2},"${field}",${at}`)
    writeFileSync(folder.file('a.csv'), `\ufeffgroup,"the, \u001b[2J""text""",n\r\n${lines.join('\r\n')}\r\n`)
    const { code, stdout, stderr } = await folder.run([
      'a.csv',
      '--partition-column',
      'group',
      '--columns',
      'the, \u001b[2J"text"',
    ])
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    assert.doesNotMatch(stdout, controlCodes)
    const stored = folder.sql('.asherah-demo/a.db', 'SELECT * FROM protected_row ORDER BY _row')
    const master = readFileSync(folder.file('.asherah-demo/a.db.master-key'), 'utf8').trim()
    const keys = folder.keyRows('.asherah-demo/a.db')
    const opened = stored.map(({ _sealed }) =>
      Object.values(JSON.parse(decryptRecord(master, keys, String(_sealed)).toString())),
    )
    assert.deepEqual(
      opened,
      fields.map((field) => [field.replaceAll('""', '"')]),
    )
    assert.deepEqual(
      stored.map(({ n }) => n),
      ['0', '1', '2', '3', '4', '5'],
    )
  })

  test('streams: thirty megabytes pass through a heap of sixteen', async () => {
    using folder = new Folder()
    const note = 'n'.repeat(1000)
    const lines = Array.from({ length: 30_000 }, (_, at) => `customer ${at % 50},${note}`)
    writeFileSync(folder.file('big.csv'), `customer,note\n${lines.join('\n')}`)
    const { code, stdout, stderr } = await folder.run(['big.csv'], { nodeFlags: ['--max-old-space-size=16'] })
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    assert.match(stdout, /all 30,000 rows/)
  })

  test('when interrupted leaves a database that can be read, and says so', async () => {
    using folder = new Folder()
    const lines = Array.from({ length: 300_000 }, (_, at) => `customer ${at % 50},note ${at}`)
    writeFileSync(folder.file('long.csv'), `customer,note\n${lines.join('\n')}`)
    const progress = '.asherah-demo/long.db'
    const begun = (): boolean => {
      if (!existsSync(folder.file(progress))) return false
      const [table] = folder.sql(progress, "SELECT 1 FROM sqlite_schema WHERE name = 'protection_run'")
      return (
        table !== undefined &&
        Number(folder.sql(progress, 'SELECT rows FROM protection_run')[0]?.['rows']) > 2000
      )
    }
    const { code, stderr } = await folder.run(['long.csv'], { interruptWhen: begun })
    assert.equal(code, 130)
    const [, said] = /^Stopped\. .* is whole and holds the first (\d+) rows\. .*\n$/.exec(stderr) ?? []
    const [stored] = folder.sql(progress, 'SELECT count(*) AS n FROM protected_row')
    assert.equal(stored?.['n'], Number(said))
    assert.ok(Number(said) > 2000 && Number(said) < 300_000)
    assert.deepEqual(
      folder.sql(progress, 'PRAGMA integrity_check').map((row) => ({ ...row })),
      [{ integrity_check: 'ok' }],
    )
    const check = await folder.run(['--verify-only', '--database', progress])
    assert.deepEqual({ code: check.code, stderr: check.stderr }, { code: 0, stderr: '' })
    assert.match(check.stdout, /the first [\d,]+ rows, where the run was stopped,/)
  })
})

describe('what the main job cannot do', { concurrency: 2 }, () => {
  const files: Readonly<Record<string, string | Uint8Array>> = {
    'empty.csv': '',
    'blank.csv': ' \n\n',
    'header.csv': 'a,b\n',
    'binary.csv': new Uint8Array(4096).map((_, at) => at * 7),
    'latin1.csv': Buffer.from('a,b\nZo\u00eb,1\n', 'latin1'),
    'ragged.csv': 'a,b\n1,2\n3\n',
    'quote.csv': 'a,b\n1,"2\n',
    'twice.csv': 'a,a\n1,2\n',
    'single.csv': 'a\n1\n',
    'good.csv': 'a,b\n1,2\n',
    'holes.csv': `a,b\n${'1,2\n'.repeat(1500)},2\n`,
    'words.jsonl': '{"a":1,"b":2}\nnot json: secret\n',
    'array.json': '[{"a":1}]\n',
    'twice.jsonl': '{"a":1,"a":2}\n',
    'long.jsonl': `{"a":"${'x'.repeat(5 << 20)}"}\n`,
    'words.db': 'this is no database, but long enough to be taken for the header of one: '.repeat(20),
  }
  const cases: readonly (readonly [args: readonly string[], report: RegExp])[] = [
    [['missing.csv'], /missing\.csv does not exist\. .*npm start/],
    [['.'], /is a directory\. Name a file/],
    [['good.csv/x'], /cannot be read: not a directory/],
    [['loop.csv'], /cannot be read: too many symbolic links/],
    [['/dev/null'], /is not a regular file/],
    [['empty.csv'], /is empty\. Give/],
    [['blank.csv'], /white space only/],
    [['header.csv'], /a header but no rows/],
    [['binary.csv'], /is binary\. Give/],
    [['latin1.csv'], /is not UTF-8 text\. .*iconv/],
    [['ragged.csv'], /line 3 has 1 columns where the header has 2/],
    [['quote.csv'], /a quote that line 2 opens/],
    [['twice.csv'], /two columns "a"/],
    [['single.csv'], /only the column "a"/],
    [['holes.csv', '--partition-column', 'a'], /line 1502 has no "a", so nobody owns it/],
    [['words.jsonl'], /line 2 is not JSON/],
    [['array.json'], /one JSON object\. Convert it: jq/],
    [['twice.jsonl'], /members have different names/],
    [['long.jsonl'], /line 1 is longer than 4194304 characters/],
    [['good.csv', '--partition-column', 'c'], /no column "c"\. The columns are: a, b/],
    [['good.csv', '--columns', 'b,c'], /no column "c"/],
    [['good.csv', '--columns', 'a', '--partition-column', 'a'], /cannot be sealed itself/],
    [['good.csv', '--colums', 'b'], /Unknown option '--colums'.*--help/],
    [['good.csv', 'header.csv'], /One FILE at a time/],
    [['good.csv', '--columns', ''], /columns is empty/],
    [['good.csv', '--database', 'words.db'], /words\.db cannot be used: file is not a database/],
    [['good.csv', '--database', '.'], /cannot be used/],
    [['--verify-only', '--database', 'none.db'], /none\.db does not exist\. Make it first: npm start/],
  ]
  const folder = new Folder()
  before(() => {
    for (const [name, content] of Object.entries(files)) writeFileSync(folder.file(name), content)
    symlinkSync('loop.csv', folder.file('loop.csv'))
  })
  after(() => folder[Symbol.dispose]())

  for (const [args, report] of cases) {
    test(`npm start -- ${args.join(' ')}`, async () => {
      const { code, stderr } = await folder.run(args)
      assert.equal(code, 2)
      assert.match(stderr, report)
      assert.equal(stderr.trimEnd().split('\n').length, 1)
      assert.doesNotMatch(stderr, /\n {4}at |secret/)
    })
  }

  test('a file that may not be read', async () => {
    writeFileSync(folder.file('closed.csv'), 'a,b\n1,2\n', { mode: 0o000 })
    const { code, stderr } = await folder.run(['closed.csv'], { unprivileged: true })
    assert.equal(code, 2)
    assert.match(stderr, /^closed\.csv cannot be read: permission denied\. Look at: ls -l closed\.csv\n$/)
  })

  test('tells how it is used', async () => {
    const { code, stdout } = await folder.run(['--help'])
    assert.equal(code, 0)
    assert.match(stdout, /--verify-only/)
  })
})
