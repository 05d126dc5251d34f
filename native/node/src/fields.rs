//! The per-record calls for protocols that carry a record's fields as they are: neither JSON nor base64 is made or read.

use std::str;

use asherah_core::record::{DataRowRecord, WRAPPED_KEY};
use asherah_core::{Fault, Outcome};
use napi::sys;

use crate::edge::{Env, Stop, Value};
use crate::front::{CANARIES, ISOLATE, State, TOLERATE, enter};
use crate::records::{KEPT, MOST_RECORD, NO_BYTES, opened};
use crate::text;

/// What is said of an id that is none.
const NO_ID: &str = "keyId must be a string";
/// What is said of a place that does not take the result.
const NO_ROOM: &str = "out must have room for the key and the data where they are to go";

/// `encryptFields(session, data, mode, out, keyAt, dataAt)`: 0, with the wrapped data row key (60 bytes) and the sealed data (28
/// more than `data` has) written to those places of `out`, and the two times to the attached array.
pub unsafe extern "C" fn encrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<6>(env, info, |call| {
            let [session, data, mode, out, key_at, data_at] = call.args;
            let env = call.env;
            let mut state = call.front.state()?;
            let State { sessions, scratch, record, .. } = &mut *state;
            let seat = sessions.get(env.number(session)?)?;
            let data = env.bytes(data, NO_BYTES)?;
            let out = env.bytes(out, NO_BYTES)?;
            let (key_at, data_at) = (env.index(key_at)? as usize, env.index(data_at)? as usize);
            let is_tolerant = env.bits(mode)? & TOLERATE != 0;
            let now = seat.session.ring().now();
            let mut times = (0, 0);
            record.clear();
            // What `out` and `data` share is written to when nobody reads it any more.
            let outcome = data.read(|payload| {
                seat.session.encrypt_fields(payload, now, is_tolerant, scratch, |envelope, sealed| {
                    times = (envelope.created, envelope.key_created);
                    record.extend_from_slice(envelope.wrapped);
                    record.extend_from_slice(sealed);
                })
            });
            if let Some((key, sealed)) = record.split_at_checked(WRAPPED_KEY)
                && !(out.put(key_at, key) && out.put(data_at, sealed))
            {
                return Err(Stop::Type(NO_ROOM));
            }
            if record.capacity() > KEPT {
                text::give(std::mem::take(record));
            }
            state.tell_times(times);
            state.settle(outcome)?;
            env.int(0)
        })
    }
}

/// `decryptFields(session, created, key, keyId, keyCreated, data, mode)`: as `decrypt`.
pub unsafe extern "C" fn decrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<7>(env, info, |call| {
            let [session, created, key, key_id, key_created, data, mode] = call.args;
            let env = call.env;
            let mut state = call.front.state()?;
            let State { sessions, scratch, record: id, pool, .. } = &mut *state;
            let seat = sessions.get(env.number(session)?)?;
            let mode = env.bits(mode)?;
            let created = whole(env, created)?;
            let key_created = whole(env, key_created)?;
            let (key, data) = (env.bytes(key, NO_BYTES)?, env.bytes(data, NO_BYTES)?);
            if !env.text(key_id, MOST_RECORD, id)? {
                return Err(Stop::Type(NO_ID));
            }
            let id = str::from_utf8(id).map_err(|_| Fault::RecordMalformed)?;
            let now = seat.session.ring().now();
            let mut sink = pool.sink(mode & ISOLATE != 0, mode & CANARIES != 0);
            let outcome = key.read(|key| {
                data.read(|data| match DataRowRecord::of_fields(created, key, id, key_created, data) {
                    Ok(record) => {
                        let is_tolerant = mode & TOLERATE != 0;
                        seat.session.decrypt_fields(record, now, is_tolerant, scratch, &mut sink)
                    }
                    Err(fault) => Outcome::Fault(fault),
                })
            });
            let result = opened(env, outcome, sink)?;
            state.settle(outcome)?;
            result.ok_or_else(|| Fault::Panic.into())
        })
    }
}

/// A time, which has to be a whole number.
fn whole(env: Env<'_>, value: Value<'_>) -> Result<i64, Stop> {
    let number = env.number(value)?;
    // What is too large for it stays far above what is a time.
    if number.fract() == 0.0 { Ok(number as i64) } else { Err(Fault::RecordMalformed.into()) }
}
