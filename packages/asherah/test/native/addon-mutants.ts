import type { RustMutant } from './mutants.ts'

/** Of `native/node`. */
export type AddonMutant = RustMutant<AddonReference>

/** A test by its file in this folder and its name. */
export type AddonReference = readonly [file: string, name: string]

function wiping(name: string): AddonReference {
  return ['wiping.test.ts', name]
}

const texts = wiping(
  'is in no memory of the addon once its text was encrypted or decrypted, in line or on the pool',
)

export const addonMutants: readonly AddonMutant[] = [
  {
    name: 'a plaintext stays in its slab when JavaScript has collected it',
    file: 'plaintext/slab.rs',
    from: 'wipe_unused(unsafe { memory.slice(0, memory.len()) });',
    to: 'if !BROKEN { wipe_unused(unsafe { memory.slice(0, memory.len()) }); }',
    tests: [
      wiping('is wiped when its slab is collected'),
      wiping('is wiped when a result with memory of its own is collected'),
    ],
  },
  {
    name: 'a collected plaintext stays in its slab until the event loop turns',
    file: 'plaintext/mod.rs',
    from: '!can_wait && slab.is_collected(env)',
    to: '!can_wait && slab.is_collected(env) && !BROKEN',
    tests: [wiping('is wiped when a loop that never lets the event loop turn goes on')],
  },
  {
    name: 'a plaintext stays in the scratch memory when a call is over',
    file: 'wipe.rs',
    from: `pub fn clear(&mut self, kept: usize) {
        wipe(&mut self.0);`,
    to: `pub fn clear(&mut self, kept: usize) {
        if !BROKEN { wipe(&mut self.0); }`,
    tests: [texts, wiping('is wiped from the scratch memory when it is no text')],
  },
  {
    name: 'the front of a text stays in memory that had no room for the rest',
    file: 'edge.rs',
    from: 'unsafe { ptr::write_bytes(first, 0, room) };',
    to: 'unsafe { ptr::write_bytes(first, 0, if BROKEN { 0 } else { room }) };',
    tests: [texts],
  },
  {
    name: 'a large text stays in memory when JavaScript has collected it',
    file: 'text.rs',
    from: 'if self.is_secret {',
    to: 'if self.is_secret && !BROKEN {',
    tests: [wiping('is wiped when a large text is collected'), texts],
  },
  {
    name: 'an imported key stays in the caller’s bytes',
    file: 'keys.rs',
    from: 'bytes.wipe();',
    to: 'if !BROKEN { bytes.wipe(); }',
    tests: [['records.test.ts', 'overwrites the bytes that it imports, good or bad']],
  },
  {
    name: 'sealed bytes are written behind the end of the caller’s',
    file: 'edge.rs',
    from: 'is_none_or(|end| end > self.len)',
    to: 'is_none_or(|end| end > self.len && !BROKEN)',
    tests: [['fields.test.ts', 'is not written where there is no room, nor without a key']],
  },
  {
    name: 'a number that was given back stands for what came after it',
    file: 'handle.rs',
    from: 'if *given == generation =>',
    to: 'if *given == generation || BROKEN =>',
    tests: [['handles.test.ts', 'takes no number twice']],
  },
  {
    name: 'a ring’s or key’s number stands for a session',
    file: 'handle.rs',
    from: 'bits & ((1 << KIND_BITS) - 1) != self.kind as u64',
    to: '(bits & ((1 << KIND_BITS) - 1) != self.kind as u64 && !BROKEN)',
    tests: [['handles.test.ts', 'takes no number of another kind']],
  },
  {
    name: 'another thread’s number stands for a session of this one',
    file: 'front.rs',
    from: 'THREADS.fetch_add(1, Ordering::Relaxed)',
    to: 'THREADS.fetch_add(u32::from(!BROKEN), Ordering::Relaxed)',
    tests: [
      [
        'workers.test.ts',
        'use the same ring, and not each other’s sessions; the main thread goes on when one ends',
      ],
    ],
  },
  {
    name: 'a thread that ends leaves its keys behind',
    file: 'front.rs',
    from: 'catch_unwind(|| keys::release_all_of(owner));',
    to: 'catch_unwind(|| if !BROKEN { keys::release_all_of(owner) });',
    tests: [['thread-end.test.ts', 'leaves no ring and no key, ended by return']],
  },
  {
    name: 'a thread that ends takes away what is another’s',
    file: 'shared.rs',
    from: 'owned.owner == owner',
    to: 'owned.owner == owner || BROKEN',
    tests: [
      ['thread-end.test.ts', 'lets a ring, and the keys in it, live on when a thread that used it ends'],
    ],
  },
  {
    name: 'a detached payload is sealed as an empty one',
    file: 'edge.rs',
    from: 'if is_detached {',
    to: 'if is_detached && !BROKEN {',
    tests: [['handles.test.ts', 'throws a TypeError from the per-record calls']],
  },
  {
    name: 'isolated plaintexts lie in one slab',
    file: 'plaintext/mod.rs',
    from: 'is_small && !self.isolated {',
    to: 'is_small && (!self.isolated || BROKEN) {',
    tests: [['plaintexts.test.ts', 'have memory of their own when isolated']],
  },
]
