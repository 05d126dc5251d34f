//! The generator of keys and nonces: ChaCha20 with fast key erasure, one for each thread.
//!
//! A refill makes 576 bytes of key stream; the first 32 are the next refill's key and replace the one that made them, so
//! that no state tells what was given out before. Bytes are zeroed in the buffer as they are handed out. Key, buffer and
//! position lie in a slot of the arena: a forked child finds zeroes there and, before that, a sentinel that is gone.

use std::time::Instant;

use aws_lc_sys::CRYPTO_chacha_20;

use super::arena::{self, Arena};
use super::os;
use super::slot::{CoreSlot, STRIDE, zero};
use crate::aead::{KEY, NONCE};
use crate::status::Fault;

/// Nine ChaCha20 blocks.
const BUFFER: usize = 576;
/// Bytes after which fresh entropy is mixed in.
const RESEED_BYTES: u64 = 1 << 20;
/// Seconds after which fresh entropy is mixed in.
const RESEED_SECONDS: u64 = 60;

/// What lies in the slot. All zero means that nothing is left to hand out.
#[repr(C)]
struct State {
    key: [u8; KEY],
    buffer: [u8; BUFFER],
    left: usize,
    since_reseed: u64,
}

const _: () = assert!(size_of::<State>() <= STRIDE);

/// One thread's generator.
#[derive(Debug)]
pub(super) struct Generator {
    slot: CoreSlot,
    reseeded: Instant,
}

impl Generator {
    /// Seeds a generator from the operating system.
    pub(super) fn new(arena: &'static Arena) -> Result<Generator, Fault> {
        let mut generator = Generator { slot: arena.take()?, reseeded: Instant::now() };
        generator.reseed()?;
        Ok(generator)
    }

    /// Fills `out`. A failure leaves an `out` of up to 544 bytes as it was.
    pub(super) fn fill(&mut self, arena: &Arena, out: &mut [u8]) -> Result<(), Fault> {
        for part in out.chunks_mut(BUFFER - KEY) {
            if self.state().left < part.len() {
                self.refill(arena)?;
            }
            let state = self.state();
            let from = BUFFER - state.left;
            let source = &mut state.buffer[from..from + part.len()];
            part.copy_from_slice(source);
            // SAFETY: the slice's own bytes.
            unsafe { zero(source.as_mut_ptr(), source.len()) };
            state.left -= part.len();
        }
        Ok(())
    }

    /// A nonce. Random nonces of 96 bits want fewer than 2^32 uses of one key.
    pub(super) fn nonce(&mut self, arena: &Arena) -> Result<[u8; NONCE], Fault> {
        let mut nonce = [0u8; NONCE];
        self.fill(arena, &mut nonce)?;
        Ok(nonce)
    }

    #[cold]
    fn refill(&mut self, arena: &Arena) -> Result<(), Fault> {
        arena.inspect(self.slot.place().region())?;
        if self.state().since_reseed >= RESEED_BYTES || self.reseeded.elapsed().as_secs() >= RESEED_SECONDS {
            self.reseed()?;
        }
        // A key that is all zero was wiped, or never made.
        arena.alive()?;
        let state = self.state();
        let buffer = state.buffer.as_mut_ptr();
        // SAFETY: the cipher works on the buffer in place, which is zero then, so that the key stream itself results; key
        // and buffer are different fields. The nonce is constant because every key makes one buffer only.
        unsafe {
            zero(buffer, BUFFER);
            CRYPTO_chacha_20(buffer, buffer, BUFFER, state.key.as_ptr(), [0u8; NONCE].as_ptr(), 0);
            state.key.copy_from_slice(&state.buffer[..KEY]);
            zero(buffer, KEY);
        }
        state.left = BUFFER - KEY;
        state.since_reseed += BUFFER as u64;
        Ok(())
    }

    /// Mixes the system's randomness into the key. XOR keeps the better of the two.
    fn reseed(&mut self) -> Result<(), Fault> {
        let state = self.state();
        state.left = 0;
        // SAFETY: the buffer's own bytes; it holds nothing that is still to be handed out.
        unsafe {
            os::entropy(state.buffer.as_mut_ptr(), KEY)?;
            for (mine, fresh) in state.key.iter_mut().zip(&state.buffer) {
                *mine ^= fresh;
            }
            zero(state.buffer.as_mut_ptr(), KEY);
        }
        state.since_reseed = 0;
        self.reseeded = Instant::now();
        Ok(())
    }

    fn state(&mut self) -> &mut State {
        // SAFETY: the slot is owned alone, larger than the state, aligned to 64, and any bytes of it are valid.
        let state: &mut State = unsafe { &mut *self.slot.place().as_ptr().cast() };
        // Holds for whatever another writer may have left there, so that no index can be out of range.
        state.left = state.left.min(BUFFER);
        state
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        if !arena::forked() {
            // SAFETY: the slot is owned alone; zeroed here because a core slot takes what it finds for a cipher context.
            unsafe { zero(self.slot.place().as_ptr().cast(), STRIDE) };
        }
    }
}
