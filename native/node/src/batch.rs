//! The calls of many records: what the calls of one record do, for up to [`MOST`] inputs at a time.
//!
//! ```text
//! encryptMany(session, mode, take, …inputs) → answered
//!
//!   take(…values)           called once: the result or, as a number below 0, the fault of each input in turn
//!   answered < inputs       the control plane has to do something first:
//!     values[answered]        is `miss` or `overdue`: bring the key, and go on with that input
//!     otherwise               the last answer wants a check of its key, or lies in a slab that JavaScript does not have yet
//! ```
//!
//! `mode` tolerates an overdue check for the first input alone: only that one's key was just asked for.
//!
//! Inputs and results are arguments because reading and setting an element of an array costs 120 ns a record, a fifth of all.

use std::ptr;

use asherah_core::Fault;
use napi::sys;

use crate::edge::{Env, Stop, Value, WRONG_TYPE};
use crate::front::{Call, MISS, OVERDUE, State, TOLERATE, enter};
use crate::records::{Asked, One, decrypt_one, decrypt_string_one, encrypt_one, encrypt_string_one};

/// Inputs of one call.
const MOST: usize = 64;
/// Arguments before the inputs.
const FIXED: usize = 3;
const ARGUMENTS: usize = FIXED + MOST;
const NO_CALL: &str = "a session, a mode and a function were expected";

/// `encryptMany`: records' JSON.
pub unsafe extern "C" fn encrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<ARGUMENTS>(env, info, |call| each(&call, encrypt_one, false)) }
}

/// `encryptStringMany`: the same for texts.
pub unsafe extern "C" fn encrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<ARGUMENTS>(env, info, |call| each(&call, encrypt_string_one, false)) }
}

/// `decryptMany`: places in the pool, or `ArrayBuffer`s.
pub unsafe extern "C" fn decrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<ARGUMENTS>(env, info, |call| each(&call, decrypt_one, true)) }
}

/// `decryptStringMany`: strings.
pub unsafe extern "C" fn decrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<ARGUMENTS>(env, info, |call| each(&call, decrypt_string_one, false)) }
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    On,
    /// This input was answered, and then the caller has something to do.
    After,
    /// This input was not answered.
    Before,
}

/// `is_placing`: results are places in the pool.
fn each<'s>(call: &Call<'s, ARGUMENTS>, work: One, is_placing: bool) -> Result<Value<'s>, Stop> {
    let env = call.env;
    let (&[session, mode, take], inputs) =
        call.given().split_first_chunk::<FIXED>().ok_or(Stop::Type(NO_CALL))?;
    let session = env.number(session)?;
    let first_mode = env.bits(mode)?;
    let mut values = [ptr::null_mut(); MOST];
    let (mut made, mut answered) = (0, 0);
    // `take` is JavaScript, which may call again.
    let mut state = call.front.state()?;
    state.tell(false);
    for (place, &input) in values.iter_mut().zip(inputs) {
        let mode = if made == 0 { first_mode } else { first_mode & !TOLERATE };
        let (value, mut pace) = answer(env, &mut state, Asked { session, input, mode }, work)?;
        if is_placing && pace == Pace::On && state.pool.is_unknown() {
            pace = Pace::After;
        }
        *place = value.raw();
        made += 1;
        answered += u32::from(pace != Pace::Before);
        if pace != Pace::On {
            break;
        }
    }
    drop(state);
    env.call(take, &values[..made])?;
    env.double(f64::from(answered))
}

/// The result or the number of one input.
#[inline]
fn answer<'s>(
    env: Env<'s>,
    state: &mut State,
    asked: Asked<'s>,
    work: One,
) -> Result<(Value<'s>, Pace), Stop> {
    let number = match work(env, state, asked) {
        Ok(value) => return Ok((value, if state.is_due { Pace::After } else { Pace::On })),
        Err(Stop::Status(number)) => number,
        Err(Stop::Type(_)) => WRONG_TYPE,
        // A string above the engine's limit is the one thing that throws here.
        Err(Stop::Thrown) if env.forget_exception() => Fault::TooLarge as i32,
        Err(Stop::Thrown) => Fault::Panic as i32,
    };
    Ok((env.int(number)?, if matches!(number, MISS | OVERDUE) { Pace::Before } else { Pace::On }))
}
