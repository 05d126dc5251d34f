// The built sidecar alone, as JavaScript, so that neither a compiler nor a client counts as its memory.
import { readServeSettings, serve } from 'asherah-server'

const flags = {
  service: 'bench',
  product: 'bench',
  metastore: 'memory',
  kms: 'static',
  socketFile: process.argv[2],
}
await serve(readServeSettings(flags, {}), { log: () => undefined })
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpuMicros: user + system, residentBytes: process.memoryUsage.rss() })
})
process.on('disconnect', () => process.exit(0))
process.send?.('listening')
