//! The per-record calls: one call a record. A result is a string, a place in the plaintext pool or an `ArrayBuffer`; a
//! number below 0 says why there is none.

use std::str;

use asherah_core::{Fault, Outcome, PlaintextSink, Scratch};
use napi::sys;

use crate::edge::{Env, Stop, Value};
use crate::front::{CANARIES, ISOLATE, Seat, State, TOLERATE, enter};
use crate::plaintext::Sink;
use crate::rings;
use crate::text;
use crate::wipe::Plain;

/// The largest payload in bytes.
pub const MOST_PAYLOAD: usize = 64 << 20;
/// The largest JSON text of a record in bytes: a payload of 64 MiB takes 89.5 million of them, the rest is for white
/// space, escapes and unknown members.
pub const MOST_RECORD: usize = 128 << 20;
/// What is said of a payload that is none.
pub const NO_BYTES: &str = "data must be a Uint8Array";
/// What is said of a text that is none.
pub const NO_TEXT: &str = "text must be a string";
/// What is said of a record that is none.
pub const NO_RECORD: &str = "record must be a string or a Uint8Array";
/// Scratch memory kept from call to call.
pub const KEPT: usize = 2 << 20;

/// A text in the thread's scratch memory, which is zeroed when the call is over.
#[derive(Debug)]
pub struct Passing<'t>(pub &'t mut Plain);

impl PlaintextSink for Passing<'_> {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.0.0.capacity() < len {
            self.0.0 = text::take_filled(len);
        }
        self.0.0.resize(len, 0);
        Some(&mut self.0.0)
    }
}

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.clear(KEPT);
    }
}

/// A string of decrypted bytes, or [`Fault::NotUtf8`].
#[inline]
fn string_of<'s>(env: Env<'s>, text: &mut Plain) -> Result<Value<'s>, Stop> {
    let is_ascii = text.0.is_ascii();
    if !is_ascii && str::from_utf8(&text.0).is_err() {
        return Err(Fault::NotUtf8.into());
    }
    if text.0.len() < text::LARGE {
        return env.string(&text.0, is_ascii);
    }
    text::string(env, std::mem::take(&mut text.0), is_ascii, true)
}

/// What one call does with one input: the calls of one record, and of many, share it.
pub type One = for<'s> fn(Env<'s>, &mut State, Asked<'s>) -> Result<Value<'s>, Stop>;

/// One input, and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'s> {
    /// The session's number.
    pub session: f64,
    /// A payload, text or record.
    pub input: Value<'s>,
    /// The bits of `mode`.
    pub mode: i32,
}

/// # Safety
///
/// Node calls this with `env` and `info`, for a function whose data is the environment's front.
#[inline]
unsafe fn one(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    work: impl for<'s> FnOnce(Env<'s>, &mut State, Asked<'s>) -> Result<Value<'s>, Stop>,
) -> sys::napi_value {
    // SAFETY: the caller's promise.
    unsafe {
        enter::<3>(env, info, |call| {
            let [session, input, mode] = call.args;
            let asked = Asked { session: call.env.number(session)?, input, mode: call.env.bits(mode)? };
            work(call.env, &mut *call.front.state()?, asked)
        })
    }
}

/// `encrypt(session, data, mode)`: the record's JSON.
pub unsafe extern "C" fn encrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { one(env, info, encrypt_one) }
}

/// `encryptString(session, text, mode)`: the same for a text's UTF-8.
pub unsafe extern "C" fn encrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { one(env, info, encrypt_string_one) }
}

/// `decrypt(session, record, mode)`: the place of the plaintext in the pool, or an `ArrayBuffer` of its own.
pub unsafe extern "C" fn decrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { one(env, info, decrypt_one) }
}

/// `decryptString(session, record, mode)`: the plaintext as a string.
pub unsafe extern "C" fn decrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { one(env, info, decrypt_string_one) }
}

/// Seals a payload.
#[inline]
pub fn encrypt_one<'s>(env: Env<'s>, state: &mut State, asked: Asked<'s>) -> Result<Value<'s>, Stop> {
    let State { sessions, scratch, record, .. } = &mut *state;
    let seat = sessions.get(asked.session)?;
    let data = env.bytes(asked.input, NO_BYTES)?;
    let outcome = data.read(|payload| seal(seat, payload, asked.mode, scratch, record));
    let is_ascii = seat.is_ascii;
    state.settle(outcome)?;
    state.give_record(env, is_ascii)
}

/// Seals a text's UTF-8.
#[inline]
pub fn encrypt_string_one<'s>(env: Env<'s>, state: &mut State, asked: Asked<'s>) -> Result<Value<'s>, Stop> {
    let State { sessions, scratch, record, plain, .. } = &mut *state;
    let seat = sessions.get(asked.session)?;
    let passing = Passing(plain);
    if !env.text(asked.input, MOST_PAYLOAD, &mut passing.0.0)? {
        return Err(Stop::Type(NO_TEXT));
    }
    let outcome = seal(seat, &passing.0.0, asked.mode, scratch, record);
    drop(passing);
    let is_ascii = seat.is_ascii;
    state.settle(outcome)?;
    state.give_record(env, is_ascii)
}

#[inline]
fn seal(seat: &Seat, payload: &[u8], mode: i32, scratch: &mut Scratch, record: &mut Vec<u8>) -> Outcome {
    let room = text::room_for_record(payload.len());
    if room >= text::LARGE {
        // JavaScript takes this memory over.
        *record = text::take(room);
    }
    let now = seat.session.ring().now();
    seat.session.encrypt(payload, now, mode & TOLERATE != 0, scratch, record)
}

/// Opens a record.
#[inline]
pub fn decrypt_one<'s>(env: Env<'s>, state: &mut State, asked: Asked<'s>) -> Result<Value<'s>, Stop> {
    let Asked { session, input, mode } = asked;
    let State { sessions, scratch, record: text, pool, .. } = &mut *state;
    let seat = sessions.get(session)?;
    let mut sink = pool.sink(mode & ISOLATE != 0, mode & CANARIES != 0);
    let outcome = with_record(env, input, text, |record| open(seat, record, mode, scratch, &mut sink))?;
    let result = opened(env, outcome, sink)?;
    state.settle(outcome)?;
    result.ok_or_else(|| Fault::Panic.into())
}

/// The plaintext that a decryption put into the pool, if it did.
#[inline]
pub fn opened<'s>(env: Env<'s>, outcome: Outcome, sink: Sink<'_>) -> Result<Option<Value<'s>>, Stop> {
    match (outcome, sink.fault()) {
        (Outcome::Done { .. }, _) => sink.finish(env).map(Some),
        (_, Some(fault)) => Err(fault.into()),
        (_, None) => Ok(None),
    }
}

/// Opens a record as text.
#[inline]
pub fn decrypt_string_one<'s>(env: Env<'s>, state: &mut State, asked: Asked<'s>) -> Result<Value<'s>, Stop> {
    let Asked { session, input, mode } = asked;
    let State { sessions, scratch, record: text, plain, .. } = &mut *state;
    let seat = sessions.get(session)?;
    let mut passing = Passing(plain);
    let outcome = with_record(env, input, text, |record| open(seat, record, mode, scratch, &mut passing))?;
    let result = match outcome {
        Outcome::Done { .. } => Some(string_of(env, passing.0)?),
        _ => None,
    };
    drop(passing);
    state.settle(outcome)?;
    result.ok_or_else(|| Fault::Panic.into())
}

/// A record's text.
enum Record<'r> {
    /// JavaScript's own.
    Theirs(&'r [u8]),
    /// A copy.
    Ours(&'r mut [u8]),
}

#[inline]
fn open<S: PlaintextSink>(
    seat: &Seat,
    record: Record<'_>,
    mode: i32,
    scratch: &mut Scratch,
    sink: &mut S,
) -> Outcome {
    let now = seat.session.ring().now();
    let tolerant = mode & TOLERATE != 0;
    match record {
        Record::Ours(record) if record.len() >= text::LARGE => {
            seat.session.decrypt_spoiling(record, now, tolerant, scratch, sink)
        }
        Record::Ours(record) => seat.session.decrypt(record, now, tolerant, scratch, sink),
        Record::Theirs(record) => seat.session.decrypt(record, now, tolerant, scratch, sink),
    }
}

/// Reads a record given as a string or as its UTF-8, and does `work` with it.
#[inline]
fn with_record<T>(
    env: Env<'_>,
    value: Value<'_>,
    text: &mut Vec<u8>,
    work: impl FnOnce(Record<'_>) -> T,
) -> Result<T, Stop> {
    if env.text(value, MOST_RECORD, text)? {
        let result = work(Record::Ours(text));
        if text.capacity() > KEPT {
            text::give(std::mem::take(text));
        }
        return Ok(result);
    }
    let view = env.bytes(value, NO_RECORD)?;
    if view.len() > MOST_RECORD {
        return Err(Fault::TooLarge.into());
    }
    Ok(view.read(|record| work(Record::Theirs(record))))
}

impl State {
    /// The record just written, as a string.
    #[inline]
    fn give_record<'s>(&mut self, env: Env<'s>, is_ascii: bool) -> Result<Value<'s>, Stop> {
        if self.record.len() < text::LARGE {
            return env.string(&self.record, is_ascii);
        }
        text::string(env, std::mem::take(&mut self.record), is_ascii, false)
    }
}

/// `question()`: which key the last decryption of this thread asked for.
pub unsafe extern "C" fn question(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<0>(env, info, |call| {
            let state = call.front.state()?;
            let question = state.scratch.question();
            let object = call.env.object()?;
            call.env.set(object, c"keyId", call.env.string(question.key_id.as_bytes(), false)?)?;
            call.env.set(object, c"created", call.env.double(question.created as f64)?)?;
            Ok(object)
        })
    }
}

/// `sessionOpen(ring, coreId)`: a session of this thread.
pub unsafe extern "C" fn session_open(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<2>(env, info, |call| {
            let [ring, core_id] = call.args;
            let ring = rings::find(call.env.number(ring)?)?;
            let mut id = Vec::new();
            if !call.env.text(core_id, MOST_RECORD, &mut id)? {
                return Err(Stop::Type("coreId must be a string"));
            }
            let id = str::from_utf8(&id).map_err(|_| Fault::RecordMalformed)?;
            let session = asherah_core::Session::open(&ring, id)?;
            let is_ascii = session.key_id().is_ascii();
            let handle = call.front.state()?.sessions.insert(Seat { session, is_ascii })?;
            call.env.double(handle)
        })
    }
}

/// `sessionClose(session)`: 0.
pub unsafe extern "C" fn session_close(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<1>(env, info, |call| {
            let [session] = call.args;
            let closed = call.front.state()?.sessions.remove(call.env.number(session)?)?;
            drop(closed);
            call.env.int(0)
        })
    }
}
