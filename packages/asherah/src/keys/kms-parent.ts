import type { Work } from '../engine/work.ts'
import type { SystemKeyWrapper } from '../kms/system-key-wrapper.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { KeyHandle } from '../native/binding.ts'
import type { KeyParent, OpenedKey, ParentState, SealedKey } from './key-parent.ts'

const bounds = { expiresAtMs: Number.POSITIVE_INFINITY, freshness: undefined }
const usable: ParentState = { kind: 'usable', bounds }

/** The parent of system keys: a master key that never leaves the KMS, and never expires here. */
export class KmsParent implements KeyParent {
  readonly #wrapper: () => Work<SystemKeyWrapper>

  constructor(wrapper: () => Work<SystemKeyWrapper>) {
    this.#wrapper = wrapper
  }

  *seal(key: KeyHandle): Work<SealedKey> {
    const wrapper = yield* this.#wrapper()
    return { encryptedKey: yield* wrapper.wrap(key), bounds }
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *state(): Work<ParentState> {
    return usable
  }

  // A KMS that cannot open a key is a failure and is thrown: an outage or a wrong master key must not mint keys.
  *open(row: EnvelopeKeyRecord): Work<OpenedKey> {
    const wrapper = yield* this.#wrapper()
    return { parent: usable, key: yield* wrapper.unwrap(row.encryptedKey) }
  }
}
