// A sidecar as a process of its own, with the flags as JSON, until a signal.
import { readServeSettings, serve } from '../../src/index.ts'

const sidecar = await serve(readServeSettings(JSON.parse(process.argv[2] ?? '{}'), process.env))
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())

async function stop(): Promise<void> {
  await sidecar.close()
  process.exit(0)
}
