// A process as an application has one: it holds its keys, and does what it is asked a line at a time.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'

const config = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as AsherahConfig
const factory = new SessionFactory(config)

interface Question {
  readonly partition: string
  readonly encrypt?: string
  readonly decrypt?: string
}

for await (const line of createInterface({ input: process.stdin })) {
  const { partition, encrypt, decrypt = '' } = JSON.parse(line) as Question
  const session = factory.getSession(partition)
  try {
    const answer =
      encrypt === undefined
        ? await session.decryptStringAsync(decrypt)
        : await session.encryptStringAsync(encrypt)
    process.stdout.write(`${JSON.stringify({ answer })}\n`)
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ code: (error as { code?: string }).code })}\n`)
  }
}
await factory.closeAsync()
