import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { type Environment, type Flags, readServeSettings, type Sidecar, serve } from '../../src/index.ts'

/** A folder that goes with its test. */
export function temporaryFolder(context: Pick<TestContext, 'after'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-sidecar-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export const memoryFlags: Flags = { service: 'svc', product: 'prod', metastore: 'memory', kms: 'static' }

/** A sidecar in this process, on a socket of its own, that ends with its test. */
export async function startSidecar(
  context: Pick<TestContext, 'after'>,
  flags: Flags = {},
  environment: Environment = {},
): Promise<Sidecar & { readonly target: string }> {
  const socketFile = join(temporaryFolder(context), 'sidecar.sock')
  const settings = readServeSettings(
    { ...memoryFlags, socketFile, shutdownDrainTimeout: '1s', ...flags },
    environment,
  )
  const sidecar = await serve(settings, { log: () => undefined })
  context.after(() => sidecar.close())
  return { ...sidecar, target: `unix:${sidecar.address.socket}` }
}
