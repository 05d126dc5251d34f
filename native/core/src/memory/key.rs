//! Keys by handle: their bytes never leave the arena, but for `export`.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::arena::{self, Arena};
use super::coffer::Enclave;
use super::generator::Generator;
use super::hot::{NOWHERE, Pin};
use super::slot::{CoreSlot, zero};
use super::workspace::{self, Workspace};
use crate::aead::{Context, KEY, OVERHEAD};
use crate::status::Fault;

/// Largest payload in bytes, in both directions.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// Bytes of a wrapped key: ciphertext ‖ tag ‖ nonce.
pub const WRAPPED: usize = KEY + OVERHEAD;

/// Numbers of keys; none is given twice.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A 256-bit key for AES-256-GCM.
///
/// At rest it is an enclave: 60 bytes of ordinary memory, sealed under the coffer's key. When it is used, its expanded
/// form is kept in a hot slot of the arena until the slot is needed for another key. Dropping a key wipes its slot.
///
/// Every method can fail with [`Fault::Unavailable`] (before [`prepare`](super::prepare)), [`Fault::Forked`],
/// [`Fault::Wiped`], [`Fault::Canary`], [`Fault::Entropy`], [`Fault::OutOfSlots`], [`Fault::LockLimit`] (a thread more
/// than the lock limit has room for, with `require_locked`) and [`Fault::Cipher`] (also: an output of the wrong length).
/// Then outputs hold zeroes.
///
/// Nonces are random. Of one key, fewer than 2^32 `seal`, `wrap` and `seal_record` calls together keep the chance of a
/// repeated nonce under 2^-32.
///
/// ```
/// use asherah_core::memory::{Key, MemoryOptions, prepare};
///
/// prepare(&MemoryOptions { hot_slots: 64, require_locked: false })?;
/// let key = Key::generate()?;
/// let mut data = [0; 5 + 28];
/// let wrapped = key.seal_record(b"hello", &mut data)?;
/// let mut payload = [0; 5];
/// key.open_record(&wrapped, &data, &mut payload)?;
/// assert_eq!(&payload, b"hello");
/// # Ok::<(), asherah_core::Fault>(())
/// ```
pub struct Key {
    number: u64,
    hot: AtomicU32,
    enclave: Enclave,
}

impl Key {
    /// Makes a random key.
    pub fn generate() -> Result<Key, Fault> {
        workspace::run(|arena, workspace| {
            workspace.generator.fill(arena, workspace.work.raw_mut())?;
            Key::of_work(arena, workspace)
        })
    }

    /// Takes 32 bytes as a key and zeroes them, whatever the result; [`Fault::KeyLength`] for any other length.
    pub fn import(bytes: &mut [u8]) -> Result<Key, Fault> {
        let key = workspace::run(|arena, workspace| {
            if bytes.len() != KEY {
                return Err(Fault::KeyLength);
            }
            workspace.work.raw_mut().copy_from_slice(bytes);
            Key::of_work(arena, workspace)
        });
        // SAFETY: the slice's own bytes.
        unsafe { zero(bytes.as_mut_ptr(), bytes.len()) };
        key
    }

    /// Writes the key's bytes to ordinary memory; only for a key management service that cannot take a handle. The
    /// caller overwrites them.
    pub fn export(&self, out: &mut [u8; KEY]) -> Result<(), Fault> {
        let opened = workspace::run(|arena, workspace| {
            arena.coffer.open(arena, &mut workspace.generator, self.number, &self.enclave, out)
        });
        blank_on_fault(opened, out)
    }

    /// Seals to ciphertext ‖ tag (16 bytes) ‖ nonce (12 bytes), without additional data; `out` is 28 bytes longer than
    /// `plaintext`. [`Fault::TooLarge`] over 64 MiB.
    pub fn seal(&self, plaintext: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        let sealed = workspace::run(|arena, workspace| {
            check_payload(plaintext.len())?;
            let nonce = workspace.generator.nonce(arena)?;
            self.hold(arena, &mut workspace.generator)?.context().seal_tail(&nonce, plaintext, out)
        });
        blank_on_fault(sealed, out)
    }

    /// Opens what [`Key::seal`] made; `out` is 28 bytes shorter than `sealed`. [`Fault::UnwrapAuthentication`] when the
    /// tag does not verify, [`Fault::TooLarge`] over 64 MiB of plaintext.
    pub fn open(&self, sealed: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        let opened = workspace::run(|arena, workspace| {
            let length = sealed.len().checked_sub(OVERHEAD).ok_or(Fault::UnwrapAuthentication)?;
            check_payload(length)?;
            check_output(out, length)?;
            let held = self.hold(arena, &mut workspace.generator)?;
            held.context().open_tail(sealed, out).map_err(|_| Fault::UnwrapAuthentication)
        });
        blank_on_fault(opened, out)
    }

    /// Seals another key's bytes, which stay in the arena.
    pub fn wrap(&self, child: &Key) -> Result<[u8; WRAPPED], Fault> {
        workspace::run(|arena, workspace| {
            let Workspace { generator, work } = workspace;
            arena.coffer.open(arena, generator, child.number, &child.enclave, work.raw_mut())?;
            self.seal_key(arena, generator, work)
        })
    }

    /// Opens what [`Key::wrap`] made. [`Fault::KeyLength`] when it is not 60 bytes long,
    /// [`Fault::UnwrapAuthentication`] when the tag does not verify.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Key, Fault> {
        workspace::run(|arena, workspace| {
            if wrapped.len() != WRAPPED {
                return Err(Fault::KeyLength);
            }
            let held = self.hold(arena, &mut workspace.generator)?;
            let opened = held.context().open_tail(wrapped, workspace.work.raw_mut());
            opened.map_err(|_| Fault::UnwrapAuthentication)?;
            Key::of_work(arena, workspace)
        })
    }

    /// Seals one record under a data row key made for it, and gives that key sealed under this one.
    ///
    /// `data_out` is 28 bytes longer than `payload`. The data row key exists in this thread's slot only, and is wiped
    /// before the call returns. [`Fault::TooLarge`] over 64 MiB.
    pub fn seal_record(&self, payload: &[u8], data_out: &mut [u8]) -> Result<[u8; WRAPPED], Fault> {
        let wrapped = workspace::run(|arena, workspace| {
            check_payload(payload.len())?;
            let Workspace { generator, work } = workspace;
            generator.fill(arena, work.raw_mut())?;
            work.expand()?;
            let nonce = generator.nonce(arena)?;
            work.context().seal_tail(&nonce, payload, data_out)?;
            self.seal_key(arena, generator, work)
        });
        blank_on_fault(wrapped, data_out)
    }

    /// Opens one record; `out` is 28 bytes shorter than `data`.
    ///
    /// [`Fault::KeyAuthentication`] when `wrapped` does not open under this key, [`Fault::DataAuthentication`] when
    /// `data` does not open under the key found in it, [`Fault::TooLarge`] over 64 MiB of payload.
    pub fn open_record(&self, wrapped: &[u8], data: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        let opened = workspace::run(|arena, workspace| {
            if wrapped.len() != WRAPPED {
                return Err(Fault::KeyAuthentication);
            }
            let length = data.len().checked_sub(OVERHEAD).ok_or(Fault::DataAuthentication)?;
            check_payload(length)?;
            check_output(out, length)?;
            let Workspace { generator, work } = workspace;
            let held = self.hold(arena, generator)?;
            held.context().open_tail(wrapped, work.raw_mut()).map_err(|_| Fault::KeyAuthentication)?;
            drop(held);
            work.expand()?;
            work.context().open_tail(data, out).map_err(|_| Fault::DataAuthentication)
        });
        blank_on_fault(opened, out)
    }

    /// A key of the raw bytes in the work slot.
    fn of_work(arena: &Arena, workspace: &mut Workspace) -> Result<Key, Fault> {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let enclave = arena.coffer.seal(arena, &mut workspace.generator, number, workspace.work.raw())?;
        Ok(Key { number, hot: AtomicU32::new(NOWHERE), enclave })
    }

    /// Seals the raw bytes of a slot.
    fn seal_key(
        &self,
        arena: &Arena,
        generator: &mut Generator,
        child: &CoreSlot,
    ) -> Result<[u8; WRAPPED], Fault> {
        let nonce = generator.nonce(arena)?;
        let mut wrapped = [0u8; WRAPPED];
        self.hold(arena, generator)?.context().seal_tail(&nonce, child.raw(), &mut wrapped)?;
        Ok(wrapped)
    }

    /// The expanded key, in its hot slot or, when every hot slot is in use at this moment, in a slot for this call.
    fn hold(&self, arena: &Arena, generator: &mut Generator) -> Result<Held, Fault> {
        if let Some(pin) = arena.hot.pin(self.number, &self.hot) {
            pin.ready(arena, |raw| {
                // SAFETY: `ready` gives the raw bytes of a slot that is this thread's alone.
                let raw = unsafe { &mut *raw.cast::<[u8; KEY]>() };
                arena.coffer.open(arena, generator, self.number, &self.enclave, raw)
            })?;
            return Ok(Held::Hot(pin));
        }
        let mut slot = arena.take()?;
        arena.coffer.open(arena, generator, self.number, &self.enclave, slot.raw_mut())?;
        slot.expand()?;
        Ok(Held::Own(slot))
    }

    /// Where the key was expanded last.
    #[cfg(test)]
    pub(super) fn hint(&self) -> u32 {
        self.hot.load(Ordering::Relaxed)
    }

    /// What a pin asks for.
    #[cfg(test)]
    pub(super) fn hot(&self) -> &AtomicU32 {
        &self.hot
    }

    /// The key's number.
    #[cfg(test)]
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let hint = *self.hot.get_mut();
        // In a forked child a lock may be held for ever; after the final wipe there is nothing left to do.
        if hint != NOWHERE
            && let Ok(arena) = arena::live()
        {
            arena.hot.forget(arena, self.number, hint);
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("number", &self.number).finish_non_exhaustive()
    }
}

enum Held {
    Hot(Pin),
    Own(CoreSlot),
}

impl Held {
    fn context(&self) -> &Context {
        match self {
            Held::Hot(pin) => pin.context(),
            Held::Own(slot) => slot.context(),
        }
    }
}

fn check_payload(length: usize) -> Result<(), Fault> {
    if length <= MAX_PAYLOAD { Ok(()) } else { Err(Fault::TooLarge) }
}

fn check_output(out: &[u8], length: usize) -> Result<(), Fault> {
    if out.len() == length { Ok(()) } else { Err(Fault::Cipher) }
}

/// Nothing of a failed operation is left in its output.
fn blank_on_fault<R>(result: Result<R, Fault>, out: &mut [u8]) -> Result<R, Fault> {
    if result.is_err() {
        out.fill(0);
    }
    result
}
