import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'

const sockets = new Set<Socket>()
subscribe('net.client.socket', (message) => {
  sockets.add((message as { readonly socket: Socket }).socket)
})

/** How many sockets of this process are connected to a port, those that keep nobody alive included. */
export function socketsTo(port: number): number {
  return [...sockets].filter((socket) => !socket.destroyed && socket.remotePort === port).length
}
