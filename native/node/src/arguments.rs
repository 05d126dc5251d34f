//! How napi-rs's functions take bytes and give faults.

use std::panic::{AssertUnwindSafe, catch_unwind};

use asherah_core::Fault;
use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Error, Status, ValueType, sys};

use crate::edge::{Env, Stop, Value, View};
use crate::records::NO_BYTES;

/// The number of a fault, a panic's included, or the result.
pub fn guarded(body: impl FnOnce() -> Result<f64, Fault>) -> f64 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        Ok(Err(fault)) => f64::from(fault as i32),
        Err(_) => f64::from(Fault::Panic as i32),
    }
}

/// A `Uint8Array`'s bytes, until the call returns.
#[derive(Debug)]
pub struct Bytes(View<'static>);

impl Bytes {
    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// A copy.
    pub fn copy(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// Zeroes them.
    pub fn wipe(&self) {
        self.0.wipe();
    }

    /// Writes over them.
    pub fn write(&self, from: &[u8]) {
        self.0.write(from);
    }
}

impl TypeName for Bytes {
    fn type_name() -> &'static str {
        "Uint8Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Bytes {
    unsafe fn validate(_env: sys::napi_env, _value: sys::napi_value) -> napi::Result<sys::napi_value> {
        Ok(std::ptr::null_mut())
    }
}

impl FromNapiValue for Bytes {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> napi::Result<Self> {
        // SAFETY: napi-rs calls this at the start of a call, and drops the argument at its end.
        let read = unsafe { Env::from_raw(env).bytes(Value::from_raw(value), NO_BYTES) };
        match read {
            Ok(view) => Ok(Bytes(view)),
            Err(Stop::Type(message)) => Err(Error::new(Status::InvalidArg, message)),
            Err(_) => Err(Error::new(Status::GenericFailure, "the bytes could not be read")),
        }
    }
}
