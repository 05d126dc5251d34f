import type { MaybePromise } from '../maybe-promise.ts'

/**
 * What the hot path may ask of everything behind it. Plain data, so that a question can cross a thread or a socket.
 */
export type KeyQuestion =
  /** Bring a usable latest intermediate key of this partition into the ring. */
  | { readonly kind: 'latest'; readonly partitionId: string }
  /** Bring this intermediate key into the ring; its id has already passed the partition's gate. */
  | {
      readonly kind: 'existing'
      readonly partitionId: string
      readonly keyId: string
      /** Unix seconds. */
      readonly created: number
    }

/**
 * The line between the data plane and the engine. The answer is never a key: it is "now in the ring", or an error.
 */
export interface KeyPort {
  ask(question: KeyQuestion): MaybePromise<void>
}
