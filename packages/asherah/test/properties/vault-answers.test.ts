import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { VaultServer } from '../../../../tests/support/servers/vault.ts'
import { AsherahError } from '../../src/errors.ts'
import { VaultKms } from '../../src/kms/vault.ts'

// Bytes whose base64 is full of what JSON writers escape.
const systemKey = Uint8Array.from({ length: 32 }, (_, index) => 255 - (index % 3))
const plaintext = Buffer.from(systemKey).toString('base64')

let vault: VaultServer
let kms: VaultKms
let sealed: Uint8Array

before(async () => {
  vault = await VaultServer.start()
  vault.transit().create('asherah')
  const auth = { method: 'token', token: vault.rootToken } as const
  kms = new VaultKms({ addr: vault.address, transitKey: 'asherah', auth })
  sealed = await kms.encryptKey(systemKey)
})
after(async () => {
  kms.close()
  await vault.close()
})

const unicode = (text: string): string =>
  [...text].map((character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')
/** As different JSON writers write a text. */
const written = fc.constantFrom<(text: string) => string>(
  (text) => JSON.stringify(text),
  (text) => JSON.stringify(text).replaceAll('/', '\\/'),
  (text) => `"${unicode(text)}"`,
)
/** What an answer may be made of; it may well repeat what was sent. */
const piece = fc
  .tuple(written, fc.constantFrom('token', 'plaintext', 'other'), fc.string())
  .map(([write, which, text]) =>
    write(`${text.slice(0, 5)}${{ token: vault.rootToken, plaintext, other: text }[which]}${text.slice(5)}`),
  )
const value = fc.oneof(
  piece,
  fc.json(),
  fc.array(piece, { maxLength: 3 }).map((items) => `[${items.join()}]`),
  fc.constantFrom(
    'null',
    '{}',
    '1e999',
    '"vault:v1:"',
    '"vault:v1:\\u00e9"',
    `"${plaintext}"`,
    `"${plaintext}="`,
  ),
)
const member = fc.tuple(fc.constantFrom('data', 'errors', 'plaintext', 'ciphertext', '__proto__', 'x'), value)
const members = fc.array(member, { maxLength: 4 })
const object = members.map((all) => `{${all.map(([name, item]) => `"${name}":${item}`).join()}}`)
const body = fc.oneof(
  object,
  object.map((data) => `{"data":${data}}`),
  piece.map((said) => `{"errors":[${said}]}`),
  fc.tuple(object, fc.nat(60)).map(([text, cut]) => text.slice(0, cut)),
  fc.string({ unit: 'binary' }),
)

test('whatever Vault answers, a call gives a key of 32 bytes or a typed error without what was sent', async () => {
  // Not those that are asked again after a pause.
  const status = fc.constantFrom(200, 200, 200, 201, 204, 301, 400, 403, 404, 418, 501)
  const property = fc.asyncProperty(status, body, async (code, text) => {
    vault.set({ kind: 'answer', status: code, body: code === 204 ? '' : text })
    for (const call of [() => kms.decryptKey(sealed), () => kms.encryptKey(systemKey)]) {
      try {
        const answer = await call()
        assert.equal(code, 200)
        assert.ok(answer.length === 32 || Buffer.from(answer).toString('latin1').startsWith('vault:v'))
      } catch (error) {
        assert.ok(error instanceof AsherahError, inspect(error))
        assert.equal(error.code, 'ERR_KMS')
        const told = inspect(error, { depth: 9 })
        // Only a known form, `errors`, is understood; of any other the beginning is shown as it came.
        assert.ok(!told.includes(vault.rootToken) && !told.includes(plaintext), told)
      }
    }
  })
  await fc.assert(property, { numRuns: 400 })
})
