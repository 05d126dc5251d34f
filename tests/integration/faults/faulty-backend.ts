import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import type { FaultProxy } from '../../support/servers/fault-proxy.ts'

/** One thing that goes wrong between the library and its backend. */
export interface BackendFault {
  /**
   * What calls do that need the backend while it lasts. `either`: some can be answered and some cannot; those that
   * cannot fail as they must.
   */
  readonly cold: 'fails' | 'works' | 'either'
  begin(): Promise<void> | void
  end(): Promise<void> | void
  /** How many calls to make at once, besides those that every fault is met with. */
  readonly crowd?: number
}

/** A backend behind a fault proxy, over TLS, on servers of its own. */
export interface FaultyBackend {
  readonly kind: 'metastore' | 'kms'
  readonly config: Omit<AsherahConfig, 'serviceName' | 'productId'>
  readonly env: NodeJS.ProcessEnv
  readonly proxy: FaultProxy
  /** Connections that stay open at most once nothing is at fault any more. */
  readonly idleConnections: number
  /** In the order in which they are tried. */
  readonly faults: Readonly<Record<string, BackendFault>>
  remove(): Promise<void>
}

/** How long things may take in these tests, in milliseconds. */
export const limits = { connectTimeout: 700, queryTimeout: 800, callTimeout: 1500 } as const

/** The faults of the network, which are the same for every backend. */
export function networkFaults(proxy: FaultProxy): Readonly<Record<string, BackendFault>> {
  const pass = (): void => proxy.set({ kind: 'pass' })
  return {
    'refused connections': {
      cold: 'fails',
      begin: async () => {
        const refusing = proxy.refuse()
        proxy.resetAll()
        await refusing
      },
      end: () => proxy.accept(),
    },
    'resets of every connection': { cold: 'fails', begin: () => proxy.set({ kind: 'reset' }), end: pass },
    'a slow network': {
      cold: 'works',
      begin: () => proxy.set({ kind: 'delay', ms: 5, jitterMs: 5 }),
      end: pass,
    },
    'a byte now and then': {
      cold: 'fails',
      begin: () => proxy.set({ kind: 'throttle', bytesPerSecond: 40 }),
      end: pass,
    },
    'a black hole': { cold: 'fails', begin: () => proxy.set({ kind: 'black-hole' }), end: pass },
    'truncated answers': {
      cold: 'fails',
      begin: () => proxy.set({ kind: 'truncate', direction: 'to-client' }),
      end: pass,
    },
    'truncated handshakes': {
      cold: 'fails',
      begin: () => {
        proxy.set({ kind: 'truncate', direction: 'to-client', afterBytes: 500 })
        proxy.resetAll()
      },
      end: pass,
    },
  }
}

/** More calls at once than there may be connections. A KMS has none: a system key is asked for once, by all together. */
export function crowd(proxy: FaultProxy): BackendFault {
  return {
    cold: 'either',
    begin: () => proxy.set({ kind: 'delay', ms: 15, jitterMs: 15 }),
    end: () => proxy.set({ kind: 'pass' }),
    crowd: 120,
  }
}

/** A fault that takes hold of connections when they are opened: those that are open are ended. */
export function onNewConnections(
  proxy: FaultProxy,
  fault: Pick<BackendFault, 'begin' | 'end'>,
): BackendFault {
  return {
    cold: 'fails',
    begin: async () => {
      await fault.begin()
      proxy.resetAll()
    },
    end: fault.end,
  }
}
