import type { KeyHandle } from '../../src/native/binding.ts'
import { checked } from '../../src/native/checked.ts'
import { native, newRing } from './partition.ts'

/** How many rings and keys of the process have a handle. */
export interface LiveHandles {
  readonly rings: number
  readonly keys: number
}

/**
 * Counts what lives by taking every free slot for a moment, until a handle is the first of its slot: then the slots before
 * it are those that were ever used. No other thread may take or give handles meanwhile.
 */
export function liveHandles(): LiveHandles {
  return {
    rings: count(newRing, native.ringClose),
    keys: count(() => checked(native.keyGenerate()) as KeyHandle, native.keyRelease),
  }
}

function count<H extends number>(take: () => H, give: (handle: H) => number): number {
  const taken: H[] = []
  for (;;) {
    const handle = take()
    taken.push(handle)
    const { slot, generation } = partsOf(handle)
    if (generation !== 1) continue
    for (const one of taken) checked(give(one))
    return slot - (taken.length - 1)
  }
}

/** The layout in `native/node/src/handle.rs`: two bits of kind, 22 of slot, the rest generation. */
function partsOf(handle: number): { readonly slot: number; readonly generation: number } {
  return { slot: Math.floor(handle / 4) % 2 ** 22, generation: Math.floor(handle / 2 ** 24) }
}
