//! Memory for decrypted bytes that JavaScript sees as an `ArrayBuffer`, wiped when the last view of it is gone.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asherah_core::{Fault, memory};
use napi::sys;
use sys::Status::{napi_no_external_buffers_allowed, napi_ok};

use super::memory::{Memory, Spare};
use crate::edge::{Env, Stop, Value};
use crate::wipe::wipe_unused;

/// Bytes of canary before and after a result.
pub const CANARY: usize = 16;

/// Bytes of memory for each byte of ballast, and the most ballast of one slab.
///
/// V8 frees an `ArrayBuffer` with its young generation, which it collects when that is full; of memory outside it takes note
/// from 64 MiB on, with a full collection of ten times the price. So each slab leaves a short-lived string behind: decrypting
/// 8 KB again and again, 25 MB pile up and not 64 (which no cache holds), and a collection takes 0.4 ms and not 5.
const LIGHTER: usize = 16;
static BALLAST: [u8; 64 << 10] = [b' '; 64 << 10];

/// Canaries found overwritten in this process and not yet reported.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// How many canaries were found overwritten since this was last asked, by any thread.
pub fn take_failures() -> u64 {
    FAILURES.swap(0, Ordering::Relaxed)
}

/// Memory that a pool, an `ArrayBuffer`, or both still use.
///
/// JavaScript may keep, detach or transfer the `ArrayBuffer`: the memory stays until Node has let go of it, and Node says
/// so only between two turns of the event loop. A long synchronous loop would pile up all that it decrypts, so a slab
/// whose `ArrayBuffer` was collected is wiped and used again before. The one way to notice is `ArrayBuffer.transfer` on
/// the `buffer` of a result (which detaches every other result of the slab): the new owner may see later plaintexts, as
/// any holder of that `buffer` may, unless plaintexts are isolated.
#[derive(Debug)]
pub struct Slab {
    memory: Arc<Memory>,
    /// What JavaScript sees.
    shown: Range<usize>,
    /// Zero, and not used, where no canaries are wanted.
    canary: [u8; CANARY],
    /// Where results are that have canaries around them, in ascending order.
    guarded: RefCell<Vec<Range<usize>>>,
    /// Node's weak reference to the `ArrayBuffer`; null before there is one and after it was given back.
    weak: Cell<sys::napi_ref>,
    /// Wiped, and perhaps in use again, before Node has let go of the memory.
    is_released: Cell<bool>,
    /// JavaScript has detached the `ArrayBuffer`, so that its end says nothing of the memory.
    is_detached: Cell<bool>,
    /// Where the memory goes afterwards; isolated plaintexts share theirs with no later one.
    spare: Option<Rc<Spare>>,
}

impl Slab {
    /// A slab of which JavaScript sees `shown`.
    pub fn new(
        memory: Arc<Memory>,
        shown: Range<usize>,
        with_canaries: bool,
        spare: Option<Rc<Spare>>,
    ) -> Result<Slab, Fault> {
        let mut canary = [0; CANARY];
        if with_canaries {
            memory::random(&mut canary)?;
        }
        Ok(Slab {
            memory,
            shown,
            canary,
            guarded: RefCell::new(Vec::new()),
            weak: Cell::new(ptr::null_mut()),
            is_released: Cell::new(false),
            is_detached: Cell::new(false),
            spare,
        })
    }

    /// Its memory.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether it can have canaries.
    pub fn has_canary(&self) -> bool {
        self.canary != [0; CANARY]
    }

    /// Whether an `ArrayBuffer` was made of it.
    pub fn is_published(&self) -> bool {
        !self.weak.get().is_null()
    }

    /// Notes that a result is at `place`, and writes canaries around it if it has any.
    pub fn keep(&self, place: Range<usize>, with_canaries: bool) {
        if with_canaries {
            for start in [place.start - CANARY, place.end] {
                // SAFETY: no slice of this memory is alive, and JavaScript does not run now.
                unsafe { self.memory().slice(start, CANARY) }.copy_from_slice(&self.canary);
            }
            self.guarded.borrow_mut().push(place);
        }
    }

    /// Checks the canaries around the result that contains this address. An overwritten one is counted once.
    pub fn check_at(&self, address: usize) {
        let Some(offset) = address.checked_sub(self.memory().first() as usize) else { return };
        let mut guarded = self.guarded.borrow_mut();
        let after = guarded.partition_point(|place| place.start <= offset);
        let Some(index) = after.checked_sub(1) else { return };
        if offset < guarded[index].end && !self.is_intact(&guarded[index]) {
            guarded.remove(index);
            FAILURES.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The addresses that it covers.
    pub fn addresses(&self) -> Range<usize> {
        let first = self.memory().first() as usize;
        first..first + self.memory().len()
    }

    fn is_intact(&self, place: &Range<usize>) -> bool {
        // SAFETY: no slice of this memory is alive, and JavaScript does not run now.
        [place.start - CANARY, place.end]
            .iter()
            .all(|start| unsafe { self.memory().slice(*start, CANARY) } == self.canary)
    }

    /// Checks every canary, then zeroes everything.
    fn clean(&self) {
        let guarded = self.guarded.take();
        let failures = guarded.iter().filter(|place| !self.is_intact(place)).count();
        FAILURES.fetch_add(failures as u64, Ordering::Relaxed);
        let memory = self.memory();
        // SAFETY: the pool writes no more into this memory, and JavaScript does not run now.
        wipe_unused(unsafe { memory.slice(0, memory.len()) });
    }

    /// Makes the `ArrayBuffer`. `None` where the engine allows no memory but its own.
    pub fn publish<'s>(self: &Rc<Self>, env: Env<'s>) -> Result<Option<Value<'s>>, Stop> {
        let hint = Rc::into_raw(Rc::clone(self)).cast_mut().cast::<c_void>();
        let mut raw = ptr::null_mut();
        // SAFETY: the memory outlives the `ArrayBuffer`, because the finalizer owns a count of this slab.
        let status = unsafe {
            let first = self.memory().first().add(self.shown.start).cast::<c_void>();
            sys::napi_create_external_arraybuffer(
                env.raw(),
                first,
                self.shown.len(),
                Some(finalize),
                hint,
                &mut raw,
            )
        };
        if status == napi_no_external_buffers_allowed {
            // SAFETY: refused before anything was made, so the count is still ours.
            drop(unsafe { Rc::from_raw(hint.cast::<Slab>()) });
            return Ok(None);
        }
        // On any other failure it is unknown whether the finalizer runs, so the count stays given away.
        env.check(status)?;
        let mut weak = ptr::null_mut();
        // SAFETY: a live environment and a value of it; a count of 0 makes the reference weak.
        env.check(unsafe { sys::napi_create_reference(env.raw(), raw, 0, &mut weak) })?;
        self.weak.set(weak);
        let ballast = (self.memory.len() / LIGHTER).min(BALLAST.len());
        env.string(&BALLAST[..ballast], true)?;
        // SAFETY: made in this call's scope.
        Ok(Some(unsafe { Value::from_raw(raw) }))
    }

    /// Whether the `ArrayBuffer` was collected, though Node may not yet have let go of the memory.
    pub fn is_collected(&self, env: Env<'_>) -> bool {
        let weak = self.weak.get();
        if weak.is_null() || self.is_detached.get() {
            return false;
        }
        let mut raw = ptr::null_mut();
        // SAFETY: a live environment, and a reference of it that was not given back.
        if unsafe { sys::napi_get_reference_value(env.raw(), weak, &mut raw) } != napi_ok {
            return false;
        }
        if raw.is_null() {
            return true;
        }
        let mut is_detached = false;
        // SAFETY: a live environment and a value of it.
        let asked = unsafe { sys::napi_is_detached_arraybuffer(env.raw(), raw, &mut is_detached) };
        self.is_detached.set(asked != napi_ok || is_detached);
        false
    }

    /// Its `ArrayBuffer` was detached: only Node can tell when the memory is out of use.
    pub fn lose(&self) {
        self.is_detached.set(true);
    }

    fn give(&self) -> bool {
        self.spare.as_ref().is_some_and(|spare| spare.give(&self.memory))
    }

    /// Checks and wipes it after its `ArrayBuffer` was collected; the memory is used again, or its pages are given back.
    pub fn release(&self) {
        if !self.is_released.replace(true) {
            self.clean();
            if !self.give() {
                self.memory.discard();
            }
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        if !self.is_released.get() {
            self.clean();
            self.give();
        }
    }
}

/// Node has let go of the memory: nothing in JavaScript refers to it any more.
unsafe extern "C" fn finalize(env: sys::napi_env, _first: *mut c_void, hint: *mut c_void) {
    // A panic must not cross into Node, and nobody is there to be told.
    let _ = std::panic::catch_unwind(|| {
        // SAFETY: the count that `publish` gave away, given back once.
        let slab = unsafe { Rc::from_raw(hint.cast::<Slab>()) };
        let weak = slab.weak.replace(ptr::null_mut());
        if !weak.is_null() {
            // SAFETY: a reference of this environment, given back once; if that fails, it goes with the environment.
            unsafe { sys::napi_delete_reference(env, weak) };
        }
    });
}
