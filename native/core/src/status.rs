//! Why a call of the data plane did not give its result.

/// Why a call of the data plane did not give its result.
///
/// The numbers cross the language boundary and never change their meaning; `Fault as i32` is what the front returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Fault {
    /// The record is not JSON, has the wrong shape, a duplicate member, base64 that is not canonical, or a time that
    /// is no integer.
    RecordMalformed = -1,
    /// The record's `KeyId` fails the partition gate.
    RecordForeign = -2,
    /// The tag of `Data` does not verify.
    DataAuthentication = -3,
    /// The tag of `Key.Key` does not verify under the intermediate key.
    KeyAuthentication = -4,
    /// The payload is larger than 64 MiB.
    TooLarge = -5,
    /// The decrypted bytes are no UTF-8.
    NotUtf8 = -6,
    /// A handle that was closed, freed or never given.
    StaleHandle = -7,
    /// The guarded memory belongs to the parent process.
    Forked = -8,
    /// The guarded memory was wiped at the end of the process.
    Wiped = -9,
    /// Locked memory is required and the limit does not allow it.
    LockLimit = -10,
    /// A canary was overwritten.
    Canary = -11,
    /// Every slot of the guarded memory is in use.
    OutOfSlots = -12,
    /// The operating system gave no randomness.
    Entropy = -13,
    /// The data plane panicked; the panic was caught at the boundary.
    Panic = -14,
    /// The cipher library failed for another reason than a wrong tag.
    Cipher = -15,
    /// A wrapped key does not open under its parent.
    UnwrapAuthentication = -16,
    /// A key of another length than 32 bytes, or a wrapped key of another length than 60.
    KeyLength = -17,
    /// The ring or session is closed.
    Closed = -18,
    /// The platform gives no memory that could be guarded.
    Unavailable = -19,
    /// The process could not be kept from core dumps and debuggers.
    Hardening = -20,
}
