//! Rings, by handle. Off the per-record path, so in napi-rs's own conversions.

#![expect(clippy::too_many_arguments, reason = "an object would cost more than the call")]

use std::sync::Arc;

use asherah_core::ring::State;
use asherah_core::{Fault, Freshness, Now, Ring, RingOptions, Standing};
use napi::Env;
use napi::bindgen_prelude::Either;
use napi_derive::napi;

use crate::arguments::{Bytes, guarded};
use crate::handle::Kind;
use crate::keys;
use crate::shared::{Owner, Shared};

static RINGS: Shared<Arc<Ring>> = Shared::new(Kind::Ring);

/// The ring of a handle.
pub fn find(handle: f64) -> Result<Arc<Ring>, Fault> {
    RINGS.find(handle)
}

/// Closes every ring that `owner` has left. Calls of other threads that have their key finish; later ones are refused.
pub fn close_all_of(owner: Owner) {
    for ring in RINGS.take_all_of(owner) {
        ring.close();
    }
}

/// How a ring is made.
#[napi(object, object_to_js = false)]
pub struct NewRing {
    /// Most keys held.
    pub capacity: f64,
    /// Region suffix of newly written ids, empty for none.
    pub suffix: String,
    /// Further suffixes that the partition gate accepts when `suffix` is set.
    pub accepted_suffixes: Vec<String>,
}

/// Makes a ring, which any thread may use until it is closed or the one that made it ends: its handle.
#[napi]
pub fn ring_create(env: Env, options: NewRing) -> f64 {
    guarded(|| {
        let NewRing { capacity, suffix, accepted_suffixes } = options;
        let ring = Ring::new(&RingOptions { capacity: capacity as usize, suffix, accepted_suffixes });
        RINGS.keep(Owner::of(env.raw()), ring)
    })
}

fn standing(
    expires_at_ms: f64,
    revoked: bool,
    check_after_ms: f64,
    overdue_after_ms: f64,
    as_latest: bool,
) -> Standing {
    // A time beyond every clock becomes the first or last moment that there is.
    let fresh =
        Freshness { check_after_ms: check_after_ms as u64, overdue_after_ms: overdue_after_ms as u64 };
    Standing { expires_at_ms: expires_at_ms as i64, revoked, fresh, as_latest }
}

/// Unix seconds; a number that is none of them is in no record.
fn seconds(created: f64) -> Result<i64, Fault> {
    let whole = created as i64;
    if whole as f64 == created && whole.unsigned_abs() < 1 << 53 {
        Ok(whole)
    } else {
        Err(Fault::RecordMalformed)
    }
}

/// NaN asks for the latest.
fn seconds_or_latest(created: f64) -> Result<Option<i64>, Fault> {
    if created.is_nan() { Ok(None) } else { seconds(created).map(Some) }
}

/// Puts a key in: 0.
#[napi]
pub fn ring_put(
    ring: f64,
    key_id: String,
    created: f64,
    key: f64,
    expires_at_ms: f64,
    revoked: bool,
    check_after_ms: f64,
    overdue_after_ms: f64,
    as_latest: bool,
) -> f64 {
    guarded(|| {
        let standing = standing(expires_at_ms, revoked, check_after_ms, overdue_after_ms, as_latest);
        find(ring)?.put(&key_id, seconds(created)?, keys::find(key)?, &standing).map(|()| 0.0)
    })
}

/// What a check found for a key that is in: 1, or 0 when it is not.
#[napi]
pub fn ring_refresh(
    ring: f64,
    key_id: String,
    created: f64,
    expires_at_ms: f64,
    revoked: bool,
    check_after_ms: f64,
    overdue_after_ms: f64,
    as_latest: bool,
) -> f64 {
    guarded(|| {
        let standing = standing(expires_at_ms, revoked, check_after_ms, overdue_after_ms, as_latest);
        Ok(f64::from(u8::from(find(ring)?.refresh(&key_id, seconds(created)?, &standing))))
    })
}

/// Takes a key out: 1, or 0 when it is not in.
#[napi]
pub fn ring_evict(ring: f64, key_id: String, created: f64) -> f64 {
    guarded(|| Ok(f64::from(u8::from(find(ring)?.evict(&key_id, seconds(created)?)))))
}

/// Asks nobody to check this key, or with NaN the latest, before then: 0.
#[napi]
pub fn ring_back_off(ring: f64, key_id: String, created: f64, until_monotonic_ms: f64) -> f64 {
    guarded(|| {
        find(ring)?.back_off(&key_id, seconds_or_latest(created)?, until_monotonic_ms as u64);
        Ok(0.0)
    })
}

/// A key of the ring, or with NaN the latest: 1, and in `out` seven numbers of eight bytes each, in the machine's order: its
/// handle, to be given back, created (Unix seconds), expiry (Unix milliseconds), whether it was revoked, when it is to be
/// checked and when that is overdue (monotonic milliseconds), and 0, 1 or 2 for fresh, due or overdue. 0: it is not in.
#[napi]
pub fn ring_get(env: Env, ring: f64, key_id: String, created: f64, out: Bytes) -> f64 {
    guarded(|| {
        let ring = find(ring)?;
        let Some(entry) = ring.get(&key_id, seconds_or_latest(created)?, ring.now()) else { return Ok(0.0) };
        if out.len() != 56 {
            return Err(Fault::KeyLength);
        }
        let state = match entry.state {
            State::Fresh => 0.0,
            State::Due => 1.0,
            State::Overdue => 2.0,
        };
        let numbers = [
            keys::keep(env, entry.key)?,
            entry.created as f64,
            entry.expires_at_ms as f64,
            f64::from(u8::from(entry.revoked)),
            entry.fresh.check_after_ms as f64,
            entry.fresh.overdue_after_ms as f64,
            state,
        ];
        out.write(&numbers.map(f64::to_ne_bytes).concat());
        Ok(1.0)
    })
}

/// What a ring has done and holds.
#[napi(object, object_from_js = false)]
pub struct Figures {
    /// Keys held.
    pub keys: f64,
    /// Most keys held.
    pub capacity: f64,
    /// Questions answered with a key.
    pub hits: f64,
    /// Questions answered without.
    pub misses: f64,
    /// Of the hits, those with a key whose check was outstanding.
    pub stale: f64,
    /// Keys that left because the ring was full.
    pub evictions: f64,
}

/// What a ring has done and holds.
#[napi]
pub fn ring_stats(ring: f64) -> Either<Figures, f64> {
    let mut figures = None;
    let result = guarded(|| {
        let stats = find(ring)?.stats();
        figures = Some(Figures {
            keys: stats.keys as f64,
            capacity: stats.capacity as f64,
            hits: stats.hits as f64,
            misses: stats.misses as f64,
            stale: stats.stale as f64,
            evictions: stats.evictions as f64,
        });
        Ok(0.0)
    });
    figures.map_or(Either::B(result), Either::A)
}

/// Has the ring's clock stand still at this moment until set again; NaN for both, the system's clocks: 0.
#[napi]
pub fn ring_set_clock(ring: f64, wall_ms: f64, monotonic_ms: f64) -> f64 {
    guarded(|| {
        let is_system = wall_ms.is_nan() && monotonic_ms.is_nan();
        let now = Now { wall_ms: wall_ms as i64, mono_ms: monotonic_ms as u64 };
        find(ring)?.set_clock((!is_system).then_some(now));
        Ok(0.0)
    })
}

/// Monotonic milliseconds by the ring's clock.
#[napi]
pub fn ring_monotonic_ms(ring: f64) -> f64 {
    guarded(|| Ok(find(ring)?.now().mono_ms as f64))
}

/// Monotonic milliseconds by the system's clock, as rings read it.
#[napi]
pub fn monotonic_ms() -> f64 {
    Now::system().mono_ms as f64
}

/// Drops every key of the ring and gives its handle back: 0. Sessions over it are closed with it.
#[napi]
pub fn ring_close(ring: f64) -> f64 {
    guarded(|| {
        RINGS.take(ring)?.close();
        Ok(0.0)
    })
}
