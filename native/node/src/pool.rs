//! The plaintext pool's own calls.

use napi::sys;

use crate::front::enter;
use crate::plaintext::take_failures;
use crate::records::NO_BYTES;

/// `attach(mailbox, times)`: tells the first number of this `Int32Array`, and the first two of this `Float64Array`, what a result
/// does not say.
pub unsafe extern "C" fn attach(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<2>(env, info, |call| {
            let [mailbox, times] = call.args;
            call.front.state()?.attach(call.env, mailbox, times)?;
            call.env.undefined()
        })
    }
}

/// `plaintextSlab()`: the `ArrayBuffer` of a slab just begun, `undefined` where there is none.
pub unsafe extern "C" fn plaintext_slab(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<0>(env, info, |call| match call.front.state()?.pool.publish(call.env)? {
            Some(buffer) => Ok(buffer),
            None => call.env.undefined(),
        })
    }
}

/// `plaintextRenew(external)`: begins another slab, in memory of the addon's own or, if `external` is false, of the
/// engine's.
pub unsafe extern "C" fn plaintext_renew(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<1>(env, info, |call| {
            let [external] = call.args;
            let external = call.env.boolean(external)?;
            call.front.state()?.pool.renew(external);
            call.env.undefined()
        })
    }
}

/// `clearPlaintext(bytes)`: zeroes them, and checks the canaries if they are a result that has any.
pub unsafe extern "C" fn clear_plaintext(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<1>(env, info, |call| {
            let [bytes] = call.args;
            let bytes = call.env.bytes(bytes, NO_BYTES)?;
            bytes.wipe();
            if bytes.len() > 0 {
                call.front.state()?.pool.check_at(bytes.address());
            }
            call.env.undefined()
        })
    }
}

/// `takeCanaryFailures()`: how many overwritten canaries were found in this process since this was last asked.
pub unsafe extern "C" fn take_canary_failures(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe { enter::<0>(env, info, |call| call.env.double(take_failures() as f64)) }
}
