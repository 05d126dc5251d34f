//! The raw edge to Node-API: what the per-record calls need, at the price of one Node-API call each.

use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU8, Ordering};

use asherah_core::Fault;
use napi::sys;
use sys::Status::{napi_ok as OK, napi_pending_exception as THREW, napi_string_expected as NO_STRING};

use crate::text;
use crate::wipe::wipe;

/// The answer of a call of many records for an input of a wrong type.
pub const WRONG_TYPE: i32 = -103;

/// Room for a text at first.
const FIRST: usize = 4096;

/// Why a call has no result.
#[derive(Debug)]
pub enum Stop {
    /// The number of a fault, or of `miss` and `overdue`, is the result.
    Status(i32),
    /// An argument of a wrong type: a `TypeError` with this message.
    Type(&'static str),
    /// A JavaScript exception is on its way already.
    Thrown,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Status(fault as i32)
    }
}

/// Node's environment, for as long as a call or a handle scope `'s` of it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Env<'s> {
    raw: sys::napi_env,
    scope: PhantomData<&'s ()>,
}

/// A JavaScript value within the scope `'s`.
#[derive(Clone, Copy, Debug)]
pub struct Value<'s> {
    raw: sys::napi_value,
    scope: PhantomData<&'s ()>,
}

/// The bytes behind a `Uint8Array`, until the call returns.
#[derive(Clone, Copy, Debug)]
pub struct View<'s> {
    first: *mut u8,
    len: usize,
    /// Behind it is a `SharedArrayBuffer`, which other threads may write to meanwhile.
    is_shared: bool,
    scope: PhantomData<&'s ()>,
}

impl<'s> Value<'s> {
    /// Wraps a value of Node-API.
    ///
    /// # Safety
    ///
    /// `raw` is a valid value, and `'s` ends no later than its handle scope.
    pub unsafe fn from_raw(raw: sys::napi_value) -> Self {
        Value { raw, scope: PhantomData }
    }

    /// The value for Node-API.
    pub fn raw(self) -> sys::napi_value {
        self.raw
    }
}

impl<'s> Env<'s> {
    /// Wraps Node-API's environment.
    ///
    /// # Safety
    ///
    /// This is the environment's thread, and `'s` ends with the call or scope that gave `raw`.
    pub unsafe fn from_raw(raw: sys::napi_env) -> Self {
        Env { raw, scope: PhantomData }
    }

    /// The environment for Node-API.
    pub fn raw(self) -> sys::napi_env {
        self.raw
    }

    /// Any failure of Node-API that no argument explains: mostly an exception, such as a string above the engine's limit.
    pub fn check(self, status: sys::napi_status) -> Result<(), Stop> {
        match status {
            OK => Ok(()),
            THREW => Err(Stop::Thrown),
            _ => {
                let mut pending = false;
                // SAFETY: a live environment and a place for the answer.
                let asked = unsafe { sys::napi_is_exception_pending(self.raw, &mut pending) };
                Err(if asked == OK && pending { Stop::Thrown } else { Fault::Panic.into() })
            }
        }
    }

    /// Makes a value out of what `create` fills in.
    pub fn create(
        self,
        create: impl FnOnce(&mut sys::napi_value) -> sys::napi_status,
    ) -> Result<Value<'s>, Stop> {
        let mut raw = ptr::null_mut();
        self.check(create(&mut raw))?;
        Ok(Value { raw, scope: PhantomData })
    }

    /// A number.
    #[inline]
    pub fn number(self, value: Value<'s>) -> Result<f64, Stop> {
        let mut number = 0.0;
        // SAFETY: a live environment, a value of it, a place for the answer.
        match unsafe { sys::napi_get_value_double(self.raw, value.raw, &mut number) } {
            OK => Ok(number),
            _ => Err(Stop::Type("a number was expected")),
        }
    }

    /// The low 32 bits of a number.
    #[inline]
    pub fn bits(self, value: Value<'s>) -> Result<i32, Stop> {
        let mut bits = 0;
        // SAFETY: as in `number`.
        match unsafe { sys::napi_get_value_int32(self.raw, value.raw, &mut bits) } {
            OK => Ok(bits),
            _ => Err(Stop::Type("a number was expected")),
        }
    }

    /// A place in an array.
    pub fn index(self, value: Value<'s>) -> Result<u32, Stop> {
        let mut index = 0;
        // SAFETY: as in `number`.
        match unsafe { sys::napi_get_value_uint32(self.raw, value.raw, &mut index) } {
            OK => Ok(index),
            _ => Err(Stop::Type("a number was expected")),
        }
    }

    /// Calls a function without `this`. No state of the thread may be borrowed: it may call back.
    pub fn call(self, function: Value<'s>, args: &[sys::napi_value]) -> Result<(), Stop> {
        let undefined = self.undefined()?;
        // SAFETY: a live environment and values of it; the result is not asked for.
        self.check(unsafe {
            sys::napi_call_function(
                self.raw,
                undefined.raw,
                function.raw,
                args.len(),
                args.as_ptr(),
                ptr::null_mut(),
            )
        })
    }

    /// Takes back the exception that is on its way; false when that is impossible.
    #[cold]
    pub fn forget_exception(self) -> bool {
        let mut error = ptr::null_mut();
        // SAFETY: a live environment and a place for the answer.
        OK == unsafe { sys::napi_get_and_clear_last_exception(self.raw, &mut error) }
    }

    /// `true` or `false`.
    pub fn boolean(self, value: Value<'s>) -> Result<bool, Stop> {
        let mut boolean = false;
        // SAFETY: as in `number`.
        match unsafe { sys::napi_get_value_bool(self.raw, value.raw, &mut boolean) } {
            OK => Ok(boolean),
            _ => Err(Stop::Type("a boolean was expected")),
        }
    }

    /// The bytes of a `Uint8Array` that is not detached; `otherwise` is said of anything else.
    #[inline]
    pub fn bytes(self, value: Value<'s>, otherwise: &'static str) -> Result<View<'s>, Stop> {
        let (mut kind, mut len, mut first, mut buffer) = (0, 0, ptr::null_mut(), ptr::null_mut());
        // SAFETY: a live environment, a value of it, places for the answers; no offset is asked for.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.raw,
                value.raw,
                &mut kind,
                &mut len,
                &mut first,
                &mut buffer,
                ptr::null_mut(),
            )
        };
        if status != OK || kind != sys::TypedarrayType::uint8_array {
            return Err(Stop::Type(otherwise));
        }
        let mut is_private = false;
        // SAFETY: as above; the buffer is a value of the same scope.
        self.check(unsafe { sys::napi_is_arraybuffer(self.raw, buffer, &mut is_private) })?;
        if len == 0 && is_private {
            let mut is_detached = false;
            // SAFETY: as above.
            self.check(unsafe { sys::napi_is_detached_arraybuffer(self.raw, buffer, &mut is_detached) })?;
            if is_detached {
                return Err(Stop::Type("the Uint8Array is detached: its bytes were transferred elsewhere"));
            }
        }
        Ok(View { first: first.cast(), len, is_shared: !is_private, scope: PhantomData })
    }

    /// Puts the UTF-8 of a string in the place of what `out` held; false when the value is no string.
    ///
    /// Nothing is lost on the way: a lone surrogate, which has no UTF-8, becomes U+FFFD. [`Fault::TooLarge`] above
    /// `most` bytes.
    #[inline]
    pub fn text(self, value: Value<'s>, most: usize, out: &mut Vec<u8>) -> Result<bool, Stop> {
        out.clear();
        if out.capacity() < FIRST {
            out.reserve_exact(FIRST);
        }
        let room = out.capacity();
        let mut len = 0;
        // SAFETY: a live environment, a value of it, and `room` bytes to write, of which Node-API says how many it wrote.
        match unsafe {
            sys::napi_get_value_string_utf8(self.raw, value.raw, out.as_mut_ptr().cast(), room, &mut len)
        } {
            OK => {}
            NO_STRING => return Ok(false),
            other => self.check(other)?,
        }
        // Only whole characters and a NUL are written, so a cut text ends within four bytes of the room's end.
        if len + 5 < room {
            // SAFETY: Node-API has written `len` bytes, fewer than the capacity.
            unsafe { out.set_len(len) };
            return Ok(true);
        }
        self.long_text(value, most, out)
    }

    #[cold]
    fn long_text(self, value: Value<'s>, most: usize, out: &mut Vec<u8>) -> Result<bool, Stop> {
        let (first, room) = (out.as_mut_ptr(), out.capacity());
        // SAFETY: the vector's own memory, part of which Node-API has just written plaintext into.
        unsafe { ptr::write_bytes(first, 0, room) };
        // SAFETY: as above, and written by now.
        zeroize::optimization_barrier(unsafe { slice::from_raw_parts(first, room) });
        let mut len = 0;
        // SAFETY: without room, Node-API tells the length; in UTF-16 units at no cost.
        self.check(unsafe {
            sys::napi_get_value_string_utf16(self.raw, value.raw, ptr::null_mut(), 0, &mut len)
        })?;
        if len > most {
            return Err(Fault::TooLarge.into());
        }
        // Most texts are ASCII, or nearly so. With room to spare, the next text of about this length fits at once.
        if self.text_within(value, len + len / 4 + FIRST, out)? {
            return Ok(true);
        }
        // SAFETY: as above; in UTF-8 it costs a pass over the text.
        self.check(unsafe {
            sys::napi_get_value_string_utf8(self.raw, value.raw, ptr::null_mut(), 0, &mut len)
        })?;
        if len > most {
            return Err(Fault::TooLarge.into());
        }
        if self.text_within(value, len + FIRST, out)? { Ok(true) } else { Err(Fault::Panic.into()) }
    }

    /// The same into a new allocation of `room` bytes, so that nothing is copied; false, with what was written zeroed, when
    /// there is too little of it. The old one holds nothing any more.
    fn text_within(self, value: Value<'s>, room: usize, out: &mut Vec<u8>) -> Result<bool, Stop> {
        if out.capacity() < room {
            *out = text::take(room);
        }
        let room = out.capacity();
        let mut len = 0;
        // SAFETY: as in `text`.
        self.check(unsafe {
            sys::napi_get_value_string_utf8(self.raw, value.raw, out.as_mut_ptr().cast(), room, &mut len)
        })?;
        // SAFETY: Node-API has written `len` bytes, fewer than the capacity.
        unsafe { out.set_len(len) };
        if len + 5 < room {
            return Ok(true);
        }
        wipe(out);
        out.clear();
        Ok(false)
    }

    /// A string of ASCII, or of any other UTF-8.
    #[inline]
    pub fn string(self, text: &[u8], is_ascii: bool) -> Result<Value<'s>, Stop> {
        let len = text.len() as isize;
        // SAFETY: a live environment and `len` readable bytes, which Node-API copies.
        self.create(|value| unsafe {
            if is_ascii {
                sys::napi_create_string_latin1(self.raw, text.as_ptr().cast(), len, value)
            } else {
                sys::napi_create_string_utf8(self.raw, text.as_ptr().cast(), len, value)
            }
        })
    }

    /// A number that JavaScript keeps without an allocation.
    #[inline]
    pub fn int(self, number: i32) -> Result<Value<'s>, Stop> {
        // SAFETY: a live environment.
        self.create(|value| unsafe { sys::napi_create_int32(self.raw, number, value) })
    }

    /// A number.
    pub fn double(self, number: f64) -> Result<Value<'s>, Stop> {
        // SAFETY: a live environment.
        self.create(|value| unsafe { sys::napi_create_double(self.raw, number, value) })
    }

    /// `undefined`.
    pub fn undefined(self) -> Result<Value<'s>, Stop> {
        // SAFETY: a live environment.
        self.create(|value| unsafe { sys::napi_get_undefined(self.raw, value) })
    }

    /// An empty object.
    pub fn object(self) -> Result<Value<'s>, Stop> {
        // SAFETY: a live environment.
        self.create(|value| unsafe { sys::napi_create_object(self.raw, value) })
    }

    /// Sets a member of an object.
    pub fn set(self, object: Value<'s>, name: &'static std::ffi::CStr, value: Value<'s>) -> Result<(), Stop> {
        // SAFETY: values of this environment, and a name that ends with NUL.
        self.check(unsafe { sys::napi_set_named_property(self.raw, object.raw, name.as_ptr(), value.raw) })
    }

    /// An `ArrayBuffer` of the engine's own memory with a copy of `bytes`.
    pub fn array_buffer(self, bytes: &[u8]) -> Result<Value<'s>, Stop> {
        let mut first = ptr::null_mut();
        // SAFETY: a live environment and places for the answers.
        let buffer = self.create(|value| unsafe {
            sys::napi_create_arraybuffer(self.raw, bytes.len(), &mut first, value)
        })?;
        if !bytes.is_empty() {
            // SAFETY: the new buffer has as many bytes as were asked for, and nobody else knows of it.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), first.cast(), bytes.len()) };
        }
        Ok(buffer)
    }
}

impl View<'_> {
    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where the first one is, if there is one.
    pub fn address(&self) -> usize {
        self.first as usize
    }

    /// Reads the bytes, shared ones from a copy that is zeroed afterwards.
    #[inline]
    pub fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        if self.len == 0 {
            read(&[])
        } else if self.is_shared {
            read(&crate::wipe::Plain(self.to_vec()).0)
        } else {
            // SAFETY: the bytes belong to this thread, and no JavaScript runs until the call returns.
            read(unsafe { slice::from_raw_parts(self.first, self.len) })
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(self) -> Vec<u8> {
        let mut copy = Vec::new();
        self.copy_to(&mut copy);
        copy
    }

    /// Puts a copy of the bytes in the place of what `out` held.
    pub fn copy_to(self, out: &mut Vec<u8>) {
        out.clear();
        if out.capacity() < self.len {
            *out = text::take(self.len);
        }
        if self.is_shared {
            out.extend((0..self.len).map(|index| self.at(index).load(Ordering::Relaxed)));
        } else {
            self.read(|bytes| out.extend_from_slice(bytes));
        }
    }

    /// Zeroes the bytes.
    pub fn wipe(&self) {
        if self.is_shared {
            for index in 0..self.len {
                self.at(index).store(0, Ordering::Relaxed);
            }
        } else if self.len > 0 {
            // SAFETY: the bytes belong to this thread, and no JavaScript runs until the call returns.
            wipe(unsafe { slice::from_raw_parts_mut(self.first, self.len) });
        }
    }

    /// Writes over the bytes; `from` is as long.
    pub fn write(&self, from: &[u8]) {
        for (index, byte) in from.iter().enumerate().take(self.len) {
            self.at(index).store(*byte, Ordering::Relaxed);
        }
    }

    /// Writes bytes of Rust's memory over those from `start` on; false when they reach beyond the end.
    pub fn put(&self, start: usize, from: &[u8]) -> bool {
        if start.checked_add(from.len()).is_none_or(|end| end > self.len) {
            return false;
        }
        if self.is_shared {
            for (index, byte) in from.iter().enumerate() {
                self.at(start + index).store(*byte, Ordering::Relaxed);
            }
        } else if !from.is_empty() {
            // SAFETY: within the view, as was checked; the bytes belong to this thread, no JavaScript runs until the call
            // returns, and `from` is no memory of JavaScript's.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), self.first.add(start), from.len()) };
        }
        true
    }

    fn at(&self, index: usize) -> &AtomicU8 {
        assert!(index < self.len);
        // SAFETY: within the view, whose memory stays until the call returns; atomic because it may be shared.
        unsafe { AtomicU8::from_ptr(self.first.add(index)) }
    }
}
