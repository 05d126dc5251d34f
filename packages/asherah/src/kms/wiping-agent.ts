import type { Agent, ClientRequest } from 'node:http'
import type { Socket } from 'node:net'

/** The hook of Node's agents that proxies' agents override too: it finds a socket for a request. */
interface RequestTaker {
  addRequest(request: ClientRequest, ...rest: readonly unknown[]): void
}

/**
 * Makes the agent overwrite what its sockets receive as soon as the parser of HTTP has read it. The parser hands out copies
 * of a body, which their reader overwrites; what it copied from would otherwise stay in memory until it is collected.
 *
 * Out of reach are the buffers of Node and its TLS library that were filled before, and freed as they were: the threat
 * model says what was found in them.
 */
export function wiping<T extends Agent>(agent: T): T {
  const taker = agent as unknown as RequestTaker
  const addRequest = taker.addRequest
  taker.addRequest = (request, ...rest) => {
    request.once('socket', (socket: Socket) => {
      // The parser's own listener is there by now, so it comes first.
      socket.on('data', overwrite)
      request.once('close', () => socket.off('data', overwrite))
    })
    addRequest.call(agent, request, ...rest)
  }
  return agent
}

function overwrite(chunk: Uint8Array): void {
  chunk.fill(0)
}
