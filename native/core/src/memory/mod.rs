//! Guarded memory and the keys in it.
//!
//! # Layout
//!
//! The *arena*, one for each process, is made of *regions*: one for what every operation needs (the core region), one for
//! hot slots, and further ones of either kind when they become too small. Each is a mapping of its own:
//!
//! ```text
//!  page, PROT_NONE │ 64 B    │ slot 0 │ slot 1 │ … │ slot n-1 │ ≥ 64 B  │ page, PROT_NONE
//!  (guard)         │ canary  │ 640 B  │ 640 B  │   │ 640 B    │ canary  │ (guard)
//!                  └──── locked, MADV_DONTDUMP, MADV_WIPEONFORK ────────┘
//!
//!  slot, 64-byte aligned:  ┌─ 0 ───────────────────────────┬─ 584 ────────┬─ 616 ─┐
//!                          │ EVP_AEAD_CTX (expanded key)   │ raw key, 32  │ zero  │
//!                          └───────────────────────────────┴──────────────┴───────┘
//!  first core region:  0 sentinel │ 1 coffer, left │ 2 coffer, right │ 3 coffer's work │ 4 … by thread
//!  a thread's two:     generator (ChaCha20 key, buffer, position) │ work slot (data row key)
//!  hot region:         one expanded key a slot; the oldest not used again gives way
//! ```
//!
//! Ordinary memory holds, for each [`Key`]: its number, where it was expanded last, and its *enclave*, `nonce(12) ‖
//! ciphertext(32) ‖ tag(16)` under the coffer's key with the number as additional data. The coffer's key is `left XOR
//! SHA-256(right)`; it is put together for one enclave at a time, and split anew every ten seconds of use.
//!
//! # What is checked when
//!
//! | check | when |
//! |---|---|
//! | sentinel (a random number in slot 0) against a copy in ordinary memory | before each operation, and again before its result is given out |
//! | canaries of a region | a slot is given back; a hot slot changes its key; a generator refills; process end; [`inspect`] |
//!
//! A forked child finds no sentinel (the pages read as zero there) and has been marked by `pthread_atfork` besides:
//! [`Fault::Forked`]. At the normal end of the process an `atexit` handler takes the sentinel away
//! and then zeroes every page: [`Fault::Wiped`]. The end of a thread zeroes that thread's slots only.
//! A canary or sentinel that something else overwrote: [`Fault::Canary`], for good.
//!
//! # What is not covered
//!
//! Registers, and the kernel's copy of them, may hold round keys until they are used for something else; a debugger or
//! root reads anything. The cipher puts the GHASH table of a key and key stream blocks on the stack during a call; the
//! part of the stack that it used is overwritten afterwards. Payloads are the caller's memory.

mod arena;
mod coffer;
mod generator;
mod hot;
mod key;
mod os;
mod prepare;
mod region;
mod slot;
#[cfg(all(test, unix))]
mod tests;
mod workspace;

pub use key::{Key, MAX_PAYLOAD, WRAPPED};
pub use prepare::{MemoryOptions, MemoryStatus, inspect, prepare, status};

use std::mem::MaybeUninit;

use crate::status::Fault;

/// Whether keys can be used here and now: `Forked` in a forked child, `Wiped` at the end of the process, `Unavailable`
/// before [`prepare`]. To be asked before any lock is taken: in a forked child, its holder may not exist any more.
#[inline]
pub fn alive() -> Result<(), Fault> {
    arena::live().map(|_| ())
}

/// Fills `out` with bytes of this thread's generator, for nonces and canaries; zeroes on a fault.
pub fn random(out: &mut [u8]) -> Result<(), Fault> {
    let filled = workspace::run(|arena, workspace| workspace.generator.fill(arena, out));
    if filled.is_err() {
        out.fill(0);
    }
    filled
}

/// Bytes from which on large pages pay.
const LARGE_PAGES: usize = 4 << 20;

/// Asks for large pages behind new ordinary memory, if there is much of it and the system has them. A payload of 32 MiB takes
/// 8,192 small pages, and faulting them in takes longer than sealing it.
pub fn prefer_large_pages(new: &mut [MaybeUninit<u8>]) {
    if new.len() >= LARGE_PAGES {
        os::prefer_large_pages(new);
    }
}
