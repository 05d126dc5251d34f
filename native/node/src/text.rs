//! Large texts: JavaScript reads them where they are, and gives the memory back when it collects the string.
//!
//! A copy into the engine's memory would cost more than sealing the record: a fresh page every 4 KiB, and the event loop
//! stands still meanwhile. Where Node cannot take over memory (before 20.4, or with V8's sandbox), it is copied.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, OnceLock, PoisonError};

use napi::sys;

use crate::edge::{Env, Stop, Value};
use crate::wipe::wipe_unused;

/// From so many bytes on, taking memory over is cheaper than copying: 2 µs with its end, as much as a copy of 32 KiB.
pub const LARGE: usize = 128 << 10;
/// Memory kept for later texts, of the whole process: about as much as V8 lets pile up before it collects.
const KEPT: usize = 96 << 20;

type Create = unsafe extern "C" fn(
    sys::napi_env,
    *mut c_char,
    isize,
    sys::napi_finalize,
    *mut c_void,
    *mut sys::napi_value,
    *mut bool,
) -> sys::napi_status;

/// A text that JavaScript reads.
struct Lent {
    bytes: Vec<u8>,
    is_secret: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.is_secret {
            wipe_unused(&mut self.bytes);
        }
        give(std::mem::take(&mut self.bytes));
    }
}

/// Each as long as what it held.
static SPARE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Empty memory with room for `len` bytes: of an earlier text, or new, which costs a page fault for each page.
pub fn take(len: usize) -> Vec<u8> {
    let mut memory = take_any(len);
    memory.clear();
    memory
}

/// The same with `len` bytes in it, to be overwritten. Zeroes are written only where no earlier text was.
pub fn take_filled(len: usize) -> Vec<u8> {
    let mut memory = take_any(len);
    memory.resize(len, 0);
    memory
}

fn take_any(len: usize) -> Vec<u8> {
    if len < LARGE {
        return Vec::with_capacity(len);
    }
    let fits = |spare: &Vec<u8>| (len..=2 * len).contains(&spare.capacity());
    let mut spares = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = spares.iter().rposition(fits) {
        return spares.swap_remove(at);
    }
    drop(spares);
    let mut fresh = Vec::with_capacity(len);
    asherah_core::memory::prefer_large_pages(fresh.spare_capacity_mut());
    fresh
}

/// Room for the record of a payload of `len` bytes, with some to spare for the key's id.
pub fn room_for_record(len: usize) -> usize {
    (len + asherah_core::record::SEAL_OVERHEAD).div_ceil(3) * 4 + (1 << 10)
}

/// Keeps memory that holds nothing secret for later texts, up to a limit.
pub fn give(memory: Vec<u8>) {
    if memory.capacity() < LARGE {
        return;
    }
    let mut spares = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spares.push(memory);
    let mut all: usize = spares.iter().map(Vec::capacity).sum();
    // The oldest leave first.
    let dropped = spares.iter().take_while(|spare| {
        let is_over = all > KEPT;
        all -= spare.capacity();
        is_over
    });
    let dropped: Vec<Vec<u8>> = (0..dropped.count()).map(|_| spares.remove(0)).collect();
    drop(spares);
    drop(dropped);
}

/// A large text as a string; secret ones are zeroed when JavaScript has collected it.
///
/// `is_ascii` is `text.is_ascii()`; other texts are copied, since JavaScript would not read their UTF-8.
pub fn string<'s>(env: Env<'s>, text: Vec<u8>, is_ascii: bool, is_secret: bool) -> Result<Value<'s>, Stop> {
    let lent = Lent { bytes: text, is_secret };
    let (true, Some(create)) = (is_ascii && lent.bytes.len() >= LARGE, *creator()) else {
        return env.string(&lent.bytes, is_ascii);
    };
    let lent = Box::into_raw(Box::new(lent));
    // SAFETY: just made, and given away below.
    let (first, len, room) =
        unsafe { ((*lent).bytes.as_ptr(), (*lent).bytes.len(), (*lent).bytes.capacity()) };
    let mut all = 0;
    // V8 must know of the memory, or it would collect too late.
    // SAFETY: a live environment and a place for the answer.
    unsafe { sys::napi_adjust_external_memory(env.raw(), room as i64, &mut all) };
    let made = env.create(|value| {
        let mut was_copied = false;
        // SAFETY: a live environment; the bytes stay, and stay unchanged, until the finalizer drops them, which Node calls at
        // once when it had to copy.
        unsafe {
            create(
                env.raw(),
                first.cast_mut().cast(),
                len.cast_signed(),
                Some(finalize),
                lent.cast(),
                value,
                &mut was_copied,
            )
        }
    });
    if made.is_err() {
        // SAFETY: nothing was made, so Node does not call it.
        unsafe { finalize(env.raw(), std::ptr::null_mut(), lent.cast()) };
    }
    made
}

/// JavaScript has collected the string, or its environment has ended (then `env` may be null).
unsafe extern "C" fn finalize(env: sys::napi_env, _first: *mut c_void, lent: *mut c_void) {
    // A panic must not cross into Node, and nobody is there to be told.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: given away by `string`, and given back once.
        let lent = unsafe { Box::from_raw(lent.cast::<Lent>()) };
        if !env.is_null() {
            let mut all = 0;
            // SAFETY: a call that finalizers may make.
            unsafe { sys::napi_adjust_external_memory(env, -(lent.bytes.capacity() as i64), &mut all) };
        }
        drop(lent);
    });
}

/// `node_api_create_external_string_latin1`, where this Node has it.
fn creator() -> &'static Option<Create> {
    static CREATE: OnceLock<Option<Create>> = OnceLock::new();
    CREATE.get_or_init(|| {
        #[cfg(unix)]
        // SAFETY: asks for a name among what the process has loaded; the signature is Node-API's.
        unsafe {
            let name = c"node_api_create_external_string_latin1";
            let found = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
            (!found.is_null()).then(|| std::mem::transmute::<*mut c_void, Create>(found))
        }
        #[cfg(not(unix))]
        None
    })
}
