import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'
import { Peer, type PeerConfig, type PeerFactory, testMasterKey } from '../../support/servers/peer.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import type { SharedStore } from './stores.ts'

export const serviceName = 'api'
export const productId = 'catalog'
export const systemKeyId = `_SK_${serviceName}_${productId}`
export const masterKeyHex: string = Buffer.from(testMasterKey).toString('hex')

/** Both peers; `AWS KMS` is moto to them and to this process. */
export class Peers {
  readonly java: Peer
  readonly rust: Peer

  private constructor(java: Peer, rust: Peer) {
    this.java = java
    this.rust = rust
  }

  static async start(): Promise<Peers> {
    useTestAccount()
    const options = { awsEndpoint: testServers().moto.endpoint }
    return new Peers(...(await Promise.all([Peer.start('java', options), Peer.start('rust', options)])))
  }

  async stop(): Promise<void> {
    await Promise.all([this.java.stop(), this.rust.stop()])
  }
}

/** Everyone who works on one store; ours twice, since only synchronous calls load keys over the bridge. */
export type Participants = Readonly<Record<'java' | 'rust' | 'awaited' | 'synchronous', PeerFactory>>

/** Each with nothing in memory. `settings` mean the same to all. */
export async function participants(
  peers: Peers,
  store: SharedStore,
  settings: Pick<PeerConfig, 'expireAfter' | 'checkInterval'> = {},
): Promise<Participants> {
  return {
    java: await peerFactory(peers.java, store, settings),
    rust: await peerFactory(peers.rust, store, settings),
    awaited: awaited(ourFactory(store, settings)),
    synchronous: synchronous(ourFactory(store, settings)),
  }
}

export async function closeAll(all: Readonly<Record<string, PeerFactory>>): Promise<void> {
  await Promise.all(Object.values(all).map((factory) => factory.close()))
}

/** What the AWS SDK in this process finds where the configuration names nothing: moto, and its account. */
function useTestAccount(): void {
  Object.assign(process.env, {
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_ENDPOINT_URL: testServers().moto.endpoint,
  })
}

/** A factory of ours on this store, with the static test key unless said. */
export function ourFactory(store: SharedStore, more: Partial<AsherahConfig> = {}): SessionFactory {
  return new SessionFactory({
    serviceName,
    productId,
    ...store.ours,
    kms: 'static',
    ...(more.kms === undefined && { staticMasterKeyHex: masterKeyHex }),
    ...more,
  })
}

/** A factory of a peer on this store, with the static test key unless said. */
export function peerFactory(
  peer: Peer,
  store: SharedStore,
  more: Partial<PeerConfig> = {},
): Promise<PeerFactory> {
  return peer.configure({
    service: serviceName,
    product: productId,
    metastore: store.peer,
    kms: { kind: 'static', key: testMasterKey },
    ...more,
  })
}

/** One of ours that awaits its calls, in the shape of a peer. */
export function awaited(factory: SessionFactory): PeerFactory {
  return {
    encrypt: async (partition, data) => {
      using session = factory.getSession(partition)
      return await session.encryptAsync(data)
    },
    decrypt: async (partition, record) => {
      using session = factory.getSession(partition)
      return await session.decryptAsync(record)
    },
    close: () => factory.closeAsync(),
  }
}

/** One of ours whose calls are synchronous: what is not in memory comes over the bridge. */
export function synchronous(factory: SessionFactory): PeerFactory {
  return {
    encrypt: async (partition, data) => {
      using session = factory.getSession(partition)
      return session.encrypt(data)
    },
    decrypt: async (partition, record) => {
      using session = factory.getSession(partition)
      return session.decrypt(record)
    },
    close: () => factory.closeAsync(),
  }
}

/** The intermediate key that a record says it was sealed under. */
export function keyOf(record: string): { readonly id: string; readonly created: number } {
  const { Key: key } = JSON.parse(record) as { Key: { ParentKeyMeta: { KeyId: string; Created: number } } }
  return { id: key.ParentKeyMeta.KeyId, created: key.ParentKeyMeta.Created }
}
