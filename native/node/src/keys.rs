//! Guarded memory and keys, by handle. Off the per-record path, so in napi-rs's own conversions.

use std::sync::Arc;

use asherah_core::Fault;
use asherah_core::memory::{self, Key, MemoryOptions, WRAPPED};
use napi::Env;
use napi_derive::napi;
use zeroize::optimization_barrier;

use crate::arguments::{Bytes, guarded};
use crate::handle::Kind;
use crate::shared::{Owner, Shared};

static KEYS: Shared<Arc<Key>> = Shared::new(Kind::Key);

/// The key of a handle.
pub fn find(handle: f64) -> Result<Arc<Key>, Fault> {
    KEYS.find(handle)
}

/// Gives a key a handle, which is good until it is given back or `env` ends.
pub fn keep(env: Env, key: Arc<Key>) -> Result<f64, Fault> {
    KEYS.keep(Owner::of(env.raw()), key)
}

/// Gives back every handle that `owner` has left. Rings keep their keys.
pub fn release_all_of(owner: Owner) {
    drop(KEYS.take_all_of(owner));
}

/// The addon's version.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Makes the process's guarded memory, or adds to it: 0.
#[napi]
pub fn memory_prepare(hot_slots: f64, require_locked: bool) -> f64 {
    guarded(|| {
        // A number that is none of slots becomes the smallest or largest that is; the core bounds both.
        memory::prepare(&MemoryOptions { hot_slots: hot_slots as usize, require_locked }).map(|()| 0.0)
    })
}

/// What the guarded memory holds.
#[napi(object)]
pub struct MemoryReport {
    /// Bytes locked in RAM.
    pub locked_bytes: f64,
    /// Bytes that the lock limit did not allow to lock.
    pub unlocked_bytes: f64,
    /// The limit in bytes; absent when there is none.
    pub lock_limit_bytes: Option<f64>,
    /// Hot slots that exist.
    pub hot_slots: f64,
    /// Hot slots that were asked for.
    pub hot_slots_wanted: f64,
    /// Hot slots that hold a key.
    pub hot_slots_in_use: f64,
    /// Uses of a key that was in a hot slot.
    pub hot_hits: f64,
    /// Uses of a key that had to be taken out of its enclave.
    pub hot_misses: f64,
    /// Whether every page is left out of core dumps.
    pub no_dump: bool,
    /// Whether the system itself keeps every page from forked children.
    pub wiped_on_fork: bool,
}

/// What the guarded memory holds; all zero before it was made.
#[napi]
pub fn memory_status() -> MemoryReport {
    let status = memory::status();
    MemoryReport {
        locked_bytes: status.locked_bytes as f64,
        unlocked_bytes: status.unlocked_bytes as f64,
        lock_limit_bytes: status.lock_limit_bytes.map(|bytes| bytes as f64),
        hot_slots: status.hot_slots as f64,
        hot_slots_wanted: status.hot_slots_wanted as f64,
        hot_slots_in_use: status.hot_in_use as f64,
        hot_hits: status.hot_hits as f64,
        hot_misses: status.hot_misses as f64,
        no_dump: status.no_dump,
        wiped_on_fork: status.wiped_on_fork,
    }
}

/// Makes a random key: its handle.
#[napi]
pub fn key_generate(env: Env) -> f64 {
    guarded(|| keep(env, Arc::new(Key::generate()?)))
}

/// Takes 32 bytes as a key, and zeroes them whatever the result: its handle.
#[napi]
pub fn key_import(env: Env, bytes: Bytes) -> f64 {
    guarded(|| {
        let mut copy = bytes.copy();
        bytes.wipe();
        keep(env, Arc::new(Key::import(&mut copy)?))
    })
}

/// Writes a key's 32 bytes into `out`, for a key management service that cannot take a handle: 0.
#[napi]
pub fn key_export(key: f64, out: Bytes) -> f64 {
    guarded(|| {
        let key = find(key)?;
        if out.len() != 32 {
            return Err(Fault::KeyLength);
        }
        let mut bytes = [0; 32];
        let exported = key.export(&mut bytes);
        out.write(&bytes);
        bytes.fill(0);
        optimization_barrier(&bytes);
        exported.map(|()| 0.0)
    })
}

/// Writes the 60 bytes of a key sealed under another into `out`: 0.
#[napi]
pub fn key_wrap(key: f64, under: f64, out: Bytes) -> f64 {
    guarded(|| {
        if out.len() != WRAPPED {
            return Err(Fault::KeyLength);
        }
        out.write(&find(under)?.wrap(&*find(key)?)?);
        Ok(0.0)
    })
}

/// Opens what `keyWrap` made: the handle of the key in it.
#[napi]
pub fn key_unwrap(env: Env, wrapped: Bytes, under: f64) -> f64 {
    guarded(|| {
        let under = find(under)?;
        // What is longer than any wrapped key is not worth a copy.
        if wrapped.len() != WRAPPED {
            return Err(Fault::KeyLength);
        }
        keep(env, Arc::new(under.unwrap(&wrapped.copy())?))
    })
}

/// Gives a key's handle back: 0. A ring that has the key keeps it.
#[napi]
pub fn key_release(key: f64) -> f64 {
    guarded(|| KEYS.take(key).map(|_| 0.0))
}
