import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { CommandFolder, jsonLines } from './command-process.ts'

/** A fault as it happens, and what the doctor says of it. */
export interface Planted {
  readonly config: object
  readonly environment?: Readonly<Record<string, string>>
  /** Shell, before the command. */
  readonly preparation?: string
  /** What must be found: the check, and what its message and its mend must have. */
  readonly finds: readonly [level: 'ok' | 'fault' | 'warning', check: string, message: RegExp, mend: RegExp]
  end?(): Promise<void> | void
}

/** One test for each: the doctor finds it, in some time, says how to mend it, and shows no secret. */
export function testPlanted(planted: Readonly<Record<string, () => Promise<Planted> | Planted>>): void {
  for (const [name, plant] of Object.entries(planted)) {
    test(name, async () => {
      const { config, environment = {}, preparation = ':', finds, end } = await plant()
      const folder = new CommandFolder(environment)
      try {
        folder.write('asherah.json', config)
        const { code, stdout, stderr } = await folder.runAfter(preparation, 'doctor', '--json')
        const [level, check, message, mend] = finds
        const findings = jsonLines(stdout)
        const found = findings.find(
          (finding) =>
            finding['check'] === check &&
            finding['level'] === level &&
            message.test(String(finding['message'])),
        )
        assert.ok(found !== undefined, `${stdout}${stderr}`)
        assert.match(String(found['mend']), mend)
        assert.ok(Number(found['milliseconds']) >= 0)
        assert.equal(code, findings.some((finding) => finding['level'] === 'fault') ? 4 : 0)
        assert.doesNotMatch(stdout + stderr, /hidden|5c5c5c|hvs\.[\w-]/)
      } finally {
        folder.remove()
        await end?.()
      }
    })
  }
}

/** A server in front of another one, with an address of its own. */
export interface Front {
  readonly address: string
  close(): void
}

/** Hands requests on to `target`, dated `seconds` later in the answers; `refuse` may answer one itself. */
export async function startFront(
  target: string,
  seconds: number,
  refuse: (incoming: IncomingMessage, outgoing: ServerResponse) => boolean = () => false,
): Promise<Front> {
  const server: Server = createServer((incoming, outgoing) => {
    if (refuse(incoming, outgoing)) return
    const { method, headers, url = '/' } = incoming
    const call = request(new URL(url, target), { method, headers }, (answer) => {
      const date = new Date(Date.now() + seconds * 1000).toUTCString()
      outgoing.writeHead(answer.statusCode ?? 500, { ...answer.headers, date })
      answer.pipe(outgoing)
    })
    incoming.pipe(call)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** As AWS answers who may not do one of these actions: those of the `X-Amz-Target` header, as `TrentService.Decrypt`. */
export function withoutRight(...actions: readonly string[]) {
  return (incoming: IncomingMessage, outgoing: ServerResponse): boolean => {
    const action = String(incoming.headers['x-amz-target'])
    if (!actions.includes(action)) return false
    incoming.resume()
    outgoing.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
    const message = `User: arn:aws:iam::123456789012:user/app is not authorized to perform: ${action.split('.')[1]}`
    outgoing.end(JSON.stringify({ __type: 'AccessDeniedException', message }))
    return true
  }
}
