//! The Node-API front of Asherah's data plane: as thin as it can be.
//!
//! Keys, rings and guarded memory are reached through napi-rs's conversions. The per-record calls are raw callbacks,
//! each of which costs about 100 ns above the core: 15 for the call, 35 for a `Uint8Array`, 30 for reading a record's
//! string, 70 for making one, 40 for a view of the plaintext pool.
//!
//! Every function gives its result or a number below 0 ([`asherah_core::Fault`]); an argument of a wrong type throws.
//! `packages/asherah/src/native/binding.ts` says the same in TypeScript.

#![deny(missing_docs)]

mod arguments;
mod batch;
pub mod bridge;
mod edge;
mod fields;
mod front;
mod handle;
pub mod harden;
mod jobs;
pub mod keys;
mod plaintext;
mod pool;
mod records;
pub mod rings;
mod shared;
mod text;
mod wipe;

use std::ffi::CStr;
use std::ptr;

use napi::bindgen_prelude::Object;
use napi::{Env, JsValue, sys};
use napi_derive::napi;

use front::Front;

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

const CALLBACKS: [(&CStr, Callback); 22] = [
    (c"attach", pool::attach),
    (c"sessionOpen", records::session_open),
    (c"sessionClose", records::session_close),
    (c"encrypt", records::encrypt),
    (c"encryptString", records::encrypt_string),
    (c"decrypt", records::decrypt),
    (c"decryptString", records::decrypt_string),
    (c"encryptFields", fields::encrypt),
    (c"decryptFields", fields::decrypt),
    (c"encryptMany", batch::encrypt),
    (c"encryptStringMany", batch::encrypt_string),
    (c"decryptMany", batch::decrypt),
    (c"decryptStringMany", batch::decrypt_string),
    (c"question", records::question),
    (c"encryptOnPool", jobs::encrypt),
    (c"encryptStringOnPool", jobs::encrypt_string),
    (c"decryptOnPool", jobs::decrypt),
    (c"decryptStringOnPool", jobs::decrypt_string),
    (c"plaintextSlab", pool::plaintext_slab),
    (c"plaintextRenew", pool::plaintext_renew),
    (c"clearPlaintext", pool::clear_plaintext),
    (c"takeCanaryFailures", pool::take_canary_failures),
];

/// The number of this addon's interface, which its caller must know: one built from other sources is refused.
#[napi]
pub fn interface_number() -> f64 {
    6.0
}

/// Adds the raw callbacks, which carry this environment's state.
#[napi(module_exports)]
pub fn register(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let front = Front::create(env.raw());
    for (name, callback) in CALLBACKS {
        let mut function = ptr::null_mut();
        // SAFETY: a live environment, values of it, and names that end with NUL.
        let status = unsafe {
            let length = name.to_bytes().len().cast_signed();
            let data = front.cast_mut().cast();
            match sys::napi_create_function(
                env.raw(),
                name.as_ptr(),
                length,
                Some(callback),
                data,
                &mut function,
            ) {
                sys::Status::napi_ok => {
                    sys::napi_set_named_property(env.raw(), exports.raw(), name.as_ptr(), function)
                }
                other => other,
            }
        };
        if status != sys::Status::napi_ok {
            return Err(napi::Error::new(napi::Status::from(status), "an export could not be made"));
        }
    }
    Ok(())
}
