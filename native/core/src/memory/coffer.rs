//! The coffer: the key that seals enclaves, split over two slots, whole only while an enclave is sealed or opened.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_sys::SHA256;

use super::arena::Arena;
use super::generator::Generator;
use super::slot::Place;
use crate::aead::{Context, KEY, NONCE, TAG};
use crate::status::Fault;

/// Bytes of an enclave.
pub(super) const ENCLAVE: usize = NONCE + KEY + TAG;

/// A key at rest: nonce ‖ ciphertext ‖ tag under the coffer's key, with the key's number as additional data.
pub(super) type Enclave = [u8; ENCLAVE];

/// How old a split may be when it is used.
const SPLIT_AGE: Duration = Duration::from_secs(10);

/// `key = left XOR SHA-256(right)`. Both halves are random; neither alone says anything about the key.
#[derive(Debug)]
pub(super) struct Coffer {
    halves: Mutex<Halves>,
}

#[derive(Debug)]
struct Halves {
    left: Place,
    right: Place,
    work: Place,
    split: Instant,
}

impl Coffer {
    /// Three slots that the coffer owns alone; the halves are random already.
    pub(super) fn new(left: Place, right: Place, work: Place) -> Coffer {
        Coffer { halves: Mutex::new(Halves { left, right, work, split: Instant::now() }) }
    }

    /// Seals a key into an enclave.
    pub(super) fn seal(
        &self,
        arena: &Arena,
        generator: &mut Generator,
        number: u64,
        key: &[u8; KEY],
    ) -> Result<Enclave, Fault> {
        let mut enclave = [0u8; ENCLAVE];
        let nonce = generator.nonce(arena)?;
        enclave[..NONCE].copy_from_slice(&nonce);
        let (text, tag) = enclave[NONCE..].split_last_chunk_mut::<TAG>().ok_or(Fault::Cipher)?;
        self.with(arena, generator, |context| context.seal(&nonce, &number.to_le_bytes(), key, text, tag))?;
        Ok(enclave)
    }

    /// Opens an enclave into `key`, which lies in the arena or is what a caller asked to have exported.
    pub(super) fn open(
        &self,
        arena: &Arena,
        generator: &mut Generator,
        number: u64,
        enclave: &Enclave,
        key: &mut [u8; KEY],
    ) -> Result<(), Fault> {
        let (nonce, rest) = enclave.split_first_chunk::<NONCE>().ok_or(Fault::Cipher)?;
        let (text, tag) = rest.split_last_chunk::<TAG>().ok_or(Fault::Cipher)?;
        self.with(arena, generator, |context| {
            // Only overwritten memory can make this fail.
            context.open(nonce, &number.to_le_bytes(), text, tag, key).map_err(|_| Fault::Cipher)
        })
    }

    /// Where the halves are, and where the key is put together.
    #[cfg(test)]
    pub(super) fn places(&self) -> [Place; 3] {
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        [halves.left, halves.right, halves.work]
    }

    /// Makes the split as old as it may become.
    #[cfg(test)]
    pub(super) fn age(&self) {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.split = halves.split.checked_sub(SPLIT_AGE).expect("the clock has run that long");
    }

    fn with(
        &self,
        arena: &Arena,
        generator: &mut Generator,
        operation: impl FnOnce(&Context) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let work = WipedWork(halves.work);
        halves.join();
        if halves.split.elapsed() >= SPLIT_AGE {
            halves.split_anew(arena, generator)?;
        }
        // SAFETY: the work slot is the coffer's, and the lock is held.
        unsafe {
            work.0.expand()?;
            operation(&*work.0.context())
        }
    }
}

impl Halves {
    /// Puts the key together in the work slot.
    fn join(&mut self) {
        // SAFETY: three different slots, all the coffer's; the lock is held.
        unsafe {
            SHA256(self.right.raw(), KEY, self.work.raw());
            xor(self.work.raw(), self.left.raw());
        }
    }

    /// Takes new halves for the key that is in the work slot.
    fn split_anew(&mut self, arena: &Arena, generator: &mut Generator) -> Result<(), Fault> {
        // SAFETY: as in `join`. A generator that fails leaves both halves as they were.
        unsafe {
            generator.fill(arena, &mut *self.right.raw().cast::<[u8; KEY]>())?;
            SHA256(self.right.raw(), KEY, self.left.raw());
            xor(self.left.raw(), self.work.raw());
        }
        self.split = Instant::now();
        Ok(())
    }
}

/// `to ^= with`, both of `KEY` bytes in the arena.
///
/// # Safety
/// Both are valid, and are different slots owned by the caller.
unsafe fn xor(to: *mut u8, with: *const u8) {
    for index in 0..KEY {
        // SAFETY: the caller's promise.
        unsafe { *to.add(index) ^= *with.add(index) };
    }
}

/// Zeroes the work slot when the operation is over, however it ends.
struct WipedWork(Place);

impl Drop for WipedWork {
    fn drop(&mut self) {
        // SAFETY: the work slot is the coffer's; this lives no longer than the lock is held.
        unsafe { self.0.wipe() }
    }
}
