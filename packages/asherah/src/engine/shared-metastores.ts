import type { SerialisableConfig } from '../config/config.ts'
import type { BackendSecrets } from '../config/secrets.ts'
import type { Metastore } from '../metastore/metastore.ts'
import { openMetastore } from '../metastore/open-metastore.ts'
import { closeMetastore } from './engine.ts'
import { OpenOnce } from './open-once.ts'
import type { Work } from './work.ts'

/** A metastore that several engines use. */
export interface SharedMetastore {
  readonly metastore: OpenOnce<Metastore>
  /** Ends the metastore when this was its last user. */
  giveBack(): Work<void>
}

/** The metastores of one thread by their configuration, so that equal ones have one pool of connections. */
export class SharedMetastores {
  readonly #shared = new Map<string, { readonly metastore: OpenOnce<Metastore>; users: number }>()

  take(config: SerialisableConfig, secrets: BackendSecrets): SharedMetastore {
    const name = JSON.stringify([config.metastore, config.regionSuffix, config.limits, secrets.connection])
    let shared = this.#shared.get(name)
    if (shared === undefined) {
      shared = { metastore: new OpenOnce(() => openMetastore(config, secrets)), users: 0 }
      this.#shared.set(name, shared)
    }
    shared.users += 1
    const { metastore } = shared
    return { metastore, giveBack: () => this.#giveBack(name) }
  }

  *#giveBack(name: string): Work<void> {
    const shared = this.#shared.get(name)
    if (shared === undefined) return
    shared.users -= 1
    if (shared.users > 0) return
    this.#shared.delete(name)
    yield* shared.metastore.close(closeMetastore)
  }
}
