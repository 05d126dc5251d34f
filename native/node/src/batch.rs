//! The calls of many records: what the calls of one record do, for part of an array at a time.
//!
//! ```text
//! encryptMany(session, inputs, from, to, mode, out) → answered
//!
//!   out[0 … answered-1]   the result or, as a number below 0, the fault of inputs[from], inputs[from + 1], …
//!   answered < to - from  the control plane has to do something first:
//!     out[answered]         is `miss` or `overdue`: bring the key, and go on with that input
//!     otherwise             the last answer wants a check of its key, or lies in a slab that JavaScript does not have yet
//! ```
//!
//! `mode` tolerates an overdue check for the first input alone: only that one's key was just asked for.

use asherah_core::Fault;
use napi::sys;

use crate::edge::{Env, Stop, Value, WRONG_TYPE};
use crate::front::{Call, MISS, OVERDUE, State, TOLERATE, enter};
use crate::records::{Asked, One, decrypt_one, decrypt_string_one, encrypt_one, encrypt_string_one};

/// Inputs for each handle scope, so that values do not pile up.
const SCOPE: u32 = 64;

/// `encryptMany`: records' JSON.
pub unsafe extern "C" fn encrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<6>(env, info, |call| each(&call, encrypt_one, false)) }
}

/// `encryptStringMany`: the same for texts.
pub unsafe extern "C" fn encrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<6>(env, info, |call| each(&call, encrypt_string_one, false)) }
}

/// `decryptMany`: places in the pool, or `ArrayBuffer`s.
pub unsafe extern "C" fn decrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<6>(env, info, |call| each(&call, decrypt_one, true)) }
}

/// `decryptStringMany`: strings.
pub unsafe extern "C" fn decrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<6>(env, info, |call| each(&call, decrypt_string_one, false)) }
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
fn each<'s>(call: &Call<'s, 6>, work: One, is_placing: bool) -> Result<Value<'s>, Stop> {
    let env = call.env;
    let [session, inputs, from, to, mode, out] = call.args;
    let session = env.number(session)?;
    let (from, to) = (env.index(from)?, env.index(to)?);
    let first_mode = env.bits(mode)?;
    let state = &mut *call.front.state()?;
    state.tell(false);
    let mut answered = 0;
    while from + answered < to {
        let end = to.min(from + answered + SCOPE);
        let pace = env.scoped(|env| {
            // SAFETY: values of the call, which outlasts this scope.
            let (inputs, out) = unsafe { (Value::from_raw(inputs.raw()), Value::from_raw(out.raw())) };
            while from + answered < end {
                let mode = if answered == 0 { first_mode } else { first_mode & !TOLERATE };
                let input = env.element(inputs, from + answered)?;
                let (value, mut pace) = answer(env, state, Asked { session, input, mode }, work)?;
                if is_placing && pace == Pace::On && state.pool.is_unknown() {
                    pace = Pace::After;
                }
                env.set_element(out, answered, value)?;
                answered += u32::from(pace != Pace::Before);
                if pace != Pace::On {
                    return Ok(pace);
                }
            }
            Ok::<Pace, Stop>(Pace::On)
        })??;
        if pace != Pace::On {
            break;
        }
    }
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
