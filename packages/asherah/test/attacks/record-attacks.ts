/** A DataRowRecord (contract section 2.2), taken apart. */
export interface Parts {
  Key: {
    Created: unknown
    Key: string
    ParentKeyMeta: { KeyId: unknown; Created: unknown }
    [other: string]: unknown
  }
  Data: string
  [other: string]: unknown
}

/** Everything that an attacker has at hand. */
export interface Loot {
  /** The record under attack: of partition `p`. */
  readonly record: string
  /** Another one of the same partition and key, and one of an older key of it. */
  readonly sibling: Parts
  readonly older: Parts
  /** One of another partition, whose key was made in the same minute. */
  readonly foreign: Parts
}

export type Expected =
  | 'what was sealed'
  | 'RECORD_MALFORMED'
  | 'RECORD_FOREIGN'
  | 'RECORD_KEY_AUTHENTICATION'
  | 'RECORD_DATA_AUTHENTICATION'
  | 'KEY_NOT_FOUND'
  | 'PAYLOAD_TOO_LARGE'

/** What is done to the record, and what decrypting it must come to. */
export type Attack = readonly [name: string, forge: (loot: Loot) => string | Uint8Array, expected: Expected]

/** An attack that changes the parsed record. */
function edit(name: string, change: (parts: Parts, loot: Loot) => void, expected: Expected): Attack {
  return [
    name,
    (loot) => {
      const parts = JSON.parse(loot.record) as Parts
      change(parts, loot)
      return JSON.stringify(parts)
    },
    expected,
  ]
}

function text(name: string, change: (record: string, loot: Loot) => string, expected: Expected): Attack {
  return [name, (loot) => change(loot.record, loot), expected]
}

const relabel = (keyId: string, expected: Expected): Attack =>
  edit(
    `relabelled to ${JSON.stringify(keyId).slice(0, 60)}`,
    (parts) => {
      parts.Key.ParentKeyMeta.KeyId = keyId
    },
    expected,
  )

const redate = (created: unknown, expected: Expected): Attack =>
  edit(
    `relabelled to the time ${JSON.stringify(created)}`,
    (parts) => {
      parts.Key.ParentKeyMeta.Created = created
    },
    expected,
  )

const members = ['Key', 'Data', 'Key.Created', 'Key.Key', 'Key.ParentKeyMeta'] as const
const metaMembers = ['Key.ParentKeyMeta.KeyId', 'Key.ParentKeyMeta.Created'] as const

/** The object that a dotted path ends in, and the name in it. */
function locate(parts: Parts, path: string): [Record<string, unknown>, string] {
  const names = path.split('.')
  const last = names.pop() ?? ''
  const owner = names.reduce<unknown>((at, name) => (at as Record<string, unknown>)[name], parts)
  return [owner as Record<string, unknown>, last]
}

const removed: Attack[] = [...members, ...metaMembers].map((path) =>
  edit(
    `without ${path}`,
    (parts) => {
      const [owner, name] = locate(parts, path)
      delete owner[name]
    },
    path === 'Key.Created' ? 'what was sealed' : 'RECORD_MALFORMED',
  ),
)

const otherTypes: Attack[] = [...members, ...metaMembers].flatMap((path) =>
  [null, true, 1.5, [], {}, ['x'], { Key: 'x' }].map((value) =>
    edit(
      `with ${path} as ${JSON.stringify(value)}`,
      (parts) => {
        const [owner, name] = locate(parts, path)
        owner[name] = value
      },
      'RECORD_MALFORMED',
    ),
  ),
)

const duplicated: Attack[] = [...members, ...metaMembers].flatMap((path) => {
  const name = path.split('.').at(-1) ?? ''
  const twice = (spelling: string): Attack =>
    text(
      `with ${path} twice${spelling === name ? '' : ', once escaped'}`,
      (record) => {
        const [owner, last] = locate(JSON.parse(record) as Parts, path)
        const whole = JSON.stringify(owner)
        return record.replace(whole, `{"${spelling}":${JSON.stringify(owner[last])},${whole.slice(1)}`)
      },
      'RECORD_MALFORMED',
    )
  return [twice(name), twice(`\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`)]
})

const swapped: Attack[] = [
  edit(
    'with the Data of a sibling',
    (p, { sibling }) => Object.assign(p, { Data: sibling.Data }),
    'RECORD_DATA_AUTHENTICATION',
  ),
  edit(
    'with the Key of a sibling',
    (p, { sibling }) => Object.assign(p, { Key: sibling.Key }),
    'RECORD_DATA_AUTHENTICATION',
  ),
  edit(
    'with the Key.Key of a sibling',
    (p, { sibling }) => Object.assign(p.Key, { Key: sibling.Key.Key }),
    'RECORD_DATA_AUTHENTICATION',
  ),
  edit(
    'with the parent of an older record',
    (p, { older }) => Object.assign(p.Key, { ParentKeyMeta: older.Key.ParentKeyMeta }),
    'RECORD_KEY_AUTHENTICATION',
  ),
  edit(
    'with the Key.Key of an older record',
    (p, { older }) => Object.assign(p.Key, { Key: older.Key.Key }),
    'RECORD_KEY_AUTHENTICATION',
  ),
  edit(
    'with the Data of another partition',
    (p, { foreign }) => Object.assign(p, { Data: foreign.Data }),
    'RECORD_DATA_AUTHENTICATION',
  ),
  edit(
    'with the Key.Key of another partition',
    (p, { foreign }) => Object.assign(p.Key, { Key: foreign.Key.Key }),
    'RECORD_KEY_AUTHENTICATION',
  ),
  edit(
    'with the Key of another partition',
    (p, { foreign }) => Object.assign(p, { Key: foreign.Key }),
    'RECORD_FOREIGN',
  ),
  edit(
    'with all but the id of another partition',
    (p, { foreign }) => {
      const { KeyId } = p.Key.ParentKeyMeta
      Object.assign(p, structuredClone(foreign))
      p.Key.ParentKeyMeta.KeyId = KeyId
    },
    'RECORD_KEY_AUTHENTICATION',
  ),
  edit(
    'with Data and Key.Key exchanged',
    (p) => {
      const data = p.Data
      p.Data = p.Key.Key
      p.Key.Key = data
    },
    'RECORD_MALFORMED',
  ),
  edit(
    'with the wrapped key as its Data',
    (p) => Object.assign(p, { Data: p.Key.Key }),
    'RECORD_DATA_AUTHENTICATION',
  ),
]

const relabelled: Attack[] = [
  ...[
    '_IK_q_api_catalog',
    '_IK_p_api_catalog2',
    '_IK_p_api_catalo',
    '_IK_p2_api_catalog',
    '_IK_p_api_catalog_eu-west-1',
    '_IK_p_api_catalog_',
    '_IK_p_api_catalog_x_api_catalog',
    '_IK__p_api_catalog',
    '_IK_p_api_catalog ',
    '_IK_p_api_catalog\0',
    '_IK_P_api_catalog',
    '_ik_p_api_catalog',
    '_IK_ｐ_api_catalog',
    '_IK_p_billing_catalog',
    '_SK_api_catalog',
    '_SK_p_api_catalog',
    'p',
    '',
    'x'.repeat(4096),
  ].map((id) => relabel(id, 'RECORD_FOREIGN')),
  relabel('x'.repeat(4097), 'RECORD_MALFORMED'),
  relabel('\ud800', 'RECORD_MALFORMED'),
  ...[0, -1, 60, -60, 2 ** 53 - 1, -(2 ** 53 - 1)].map((created) => redate(created, 'KEY_NOT_FOUND')),
  ...['1', '', 1e21, 2 ** 53].map((created) => redate(created, 'RECORD_MALFORMED')),
  text(
    'relabelled to a time with an exponent',
    (record) => record.replace(/"Created":(\d+)}}/, '"Created":$1e0}}'),
    'RECORD_MALFORMED',
  ),
  text(
    'relabelled to a time beyond 2^64',
    (record) => record.replace(/"Created":\d+}}/, `"Created":${'9'.repeat(30)}}}`),
    'RECORD_MALFORMED',
  ),
]

const prototypes: Attack[] = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty'].flatMap(
  (name): Attack[] => [
    text(
      `with a member ${name}`,
      (record) => `{"${name}":{"Data":"x","isAdmin":true},${record.slice(1)}`,
      'what was sealed',
    ),
    text(
      `with a member ${name} in Key`,
      (record) => record.replace('{"Key":{', `{"Key":{"${name}":{"Key":1},`),
      'what was sealed',
    ),
    text(`with everything under ${name}`, (record) => `{"${name}":${record}}`, 'RECORD_MALFORMED'),
  ],
)

const shapes: Attack[] = [
  text(
    'in an unknown member, 100,000 lists deep',
    (record) => `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},${record.slice(1)}`,
    'RECORD_MALFORMED',
  ),
  text(
    '100,000 objects deep',
    (record) => `${'{"Key":'.repeat(100_000)}${record}${'}'.repeat(100_000)}`,
    'RECORD_MALFORMED',
  ),
  text(
    'with 100,000 unknown members',
    (record) => `{${'"x":0,'.repeat(100_000)}${record.slice(1)}`,
    'what was sealed',
  ),
  text('as a text in a text', (record) => JSON.stringify(record), 'RECORD_MALFORMED'),
  text('twice', (record) => record + record, 'RECORD_MALFORMED'),
  text('in a list', (record) => `[${record}]`, 'RECORD_MALFORMED'),
  text('with a comment', (record) => `/**/${record}`, 'RECORD_MALFORMED'),
  text('with a comma more', (record) => `${record.slice(0, -1)},}`, 'RECORD_MALFORMED'),
  text('with NUL behind', (record) => `${record}\0`, 'RECORD_MALFORMED'),
  [
    'with a byte order mark',
    ({ record }) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(record)]),
    'RECORD_MALFORMED',
  ],
  ['in UTF-16', ({ record }) => Buffer.from(record, 'utf16le'), 'RECORD_MALFORMED'],
  [
    'with an id that is no UTF-8',
    ({ record }) => Buffer.from(record.replace('_IK_p', '_IK_\xff'), 'latin1'),
    'RECORD_MALFORMED',
  ],
  [
    'with an id in overlong UTF-8',
    ({ record }) => Buffer.from(record.replace('_IK_p', '_IK_\xc1\xb0'), 'latin1'),
    'RECORD_MALFORMED',
  ],
  [
    'with an unknown member that is no UTF-8',
    ({ record }) => Buffer.from(`{"\xff":1,${record.slice(1)}`, 'latin1'),
    'RECORD_MALFORMED',
  ],
  ['of zeroes', () => new Uint8Array(1000), 'RECORD_MALFORMED'],
  text(
    'with Data of one byte over the limit',
    (record) =>
      record.replace(/"Data":"[^"]*"/, `"Data":"${Buffer.alloc((64 << 20) + 29).toString('base64')}"`),
    'PAYLOAD_TOO_LARGE',
  ),
  text('with Data in base64url', (record) => record.replace(/"Data":"./, '"Data":"-'), 'RECORD_MALFORMED'),
  text('with a line break in Data', (record) => record.replace(/"Data":"..../, '$&\\n'), 'RECORD_MALFORMED'),
  text(
    'with bits in the padding of Data',
    (record) => record.replace(/"Data":"[^"]*"/, `"Data":"${'A'.repeat(37)}B=="`),
    'RECORD_MALFORMED',
  ),
]

export const recordAttacks: readonly Attack[] = [
  ...removed,
  ...otherTypes,
  ...duplicated,
  ...swapped,
  ...relabelled,
  ...prototypes,
  ...shapes,
]
