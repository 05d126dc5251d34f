//! Where decrypted bytes go: a pool of slabs that nothing but decrypted bytes uses.
//!
//! ```text
//!  result                       memory                              JavaScript sees
//!  empty                        none                                a new empty Buffer
//!  up to 16 KiB                 a piece of a slab of 64 KiB         a Buffer over the slab
//!  above, or isolated           its own pages, wiped when collected a Buffer of its own
//!  up to 16 KiB and isolated    the engine's                        a Buffer of its own
//! ```
//!
//! An isolated small result is the engine's own memory because Node lets go of external memory only when the event loop
//! turns, at some 300 bytes of bookkeeping a piece; where canaries are wanted it is external all the same.

mod memory;
mod slab;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use asherah_core::{Fault, PlaintextSink};

pub use memory::Memory;
use memory::Spare;
pub use slab::take_failures;
use slab::{CANARY, Slab};

use crate::edge::{Env, Stop, Value};
use crate::wipe::Plain;

/// Bytes of a slab.
pub const SLAB: usize = 64 << 10;
/// The largest result that shares a slab with others.
pub const SHARED: usize = 16 << 10;
/// Set in the number of a place when JavaScript does not have the slab yet.
const FRESH: i32 = 1 << 28;
/// Bits of a place's length.
const LENGTH_BITS: u32 = 15;
/// Places begin at multiples of it.
const STEP: usize = 8;
/// Slabs looked at, of those that JavaScript may still use, for each new one.
const LOOKS: usize = 4;
/// Scratch memory kept from call to call.
const KEPT: usize = 1 << 20;

/// The pool of one JavaScript thread.
#[derive(Debug)]
pub struct Pool {
    /// False where the engine refuses memory that is not its own: then every result is copied into the engine's.
    is_external: bool,
    current: Option<Rc<Slab>>,
    /// The first byte of `current` not yet given out.
    next: usize,
    retired: VecDeque<Weak<Slab>>,
    /// Slabs with canaries, by their first address.
    guarded: BTreeMap<usize, Weak<Slab>>,
    spare: Rc<Spare>,
    scratch: Plain,
}

impl Pool {
    /// An empty pool.
    pub fn new() -> Pool {
        Pool {
            is_external: true,
            current: None,
            next: 0,
            retired: VecDeque::new(),
            guarded: BTreeMap::new(),
            spare: Rc::default(),
            scratch: Plain::default(),
        }
    }

    /// The place of one result.
    pub fn sink(&mut self, isolated: bool, canaries: bool) -> Sink<'_> {
        Sink { pool: self, isolated, canaries, place: Place::None, fault: None }
    }

    /// The `ArrayBuffer` of the slab in use, after a place that says it is fresh. `None` where there is no slab (any
    /// more): what was placed there is to be decrypted again.
    pub fn publish<'s>(&mut self, env: Env<'s>) -> Result<Option<Value<'s>>, Stop> {
        let Some(slab) = self.current.clone().filter(|slab| !slab.is_published()) else { return Ok(None) };
        let buffer = slab.publish(env)?;
        match buffer {
            Some(_) => self.tidy(env),
            None => (self.is_external, self.current) = (false, None),
        }
        Ok(buffer)
    }

    /// Whether there is a slab that JavaScript does not have yet.
    pub fn is_unknown(&self) -> bool {
        self.current.as_ref().is_some_and(|slab| !slab.is_published())
    }

    /// Uses another slab from now on: JavaScript has lost this one's `ArrayBuffer`.
    pub fn renew(&mut self, is_external: bool) {
        if let Some(slab) = &self.current {
            slab.lose();
        }
        self.retire();
        self.is_external = is_external;
    }

    /// Checks the canaries around the result at this address.
    pub fn check_at(&self, address: usize) {
        let nearest = self.guarded.range(..=address).next_back();
        if let Some(slab) = nearest.and_then(|(_, slab)| slab.upgrade())
            && slab.addresses().contains(&address)
        {
            slab.check_at(address);
        }
    }

    fn retire(&mut self) {
        if let Some(slab) = self.current.take() {
            self.watch(&slab);
        }
    }

    fn watch(&mut self, slab: &Rc<Slab>) {
        self.retired.push_back(Rc::downgrade(slab));
    }

    fn note(&mut self, slab: &Rc<Slab>) {
        if slab.has_canary() {
            if self.guarded.len() > 2 * (self.retired.len() + 8) {
                self.guarded.retain(|_, slab| slab.strong_count() > 0);
            }
            self.guarded.insert(slab.addresses().start, Rc::downgrade(slab));
        }
    }

    /// Looks at some of the slabs that JavaScript may still use, and takes those back that it does not.
    fn tidy(&mut self, env: Env<'_>) {
        for _ in 0..LOOKS.min(self.retired.len()) {
            let Some(weak) = self.retired.pop_front() else { return };
            let Some(slab) = weak.upgrade() else { continue };
            let can_wait = self.spare.is_full() && slab.memory().len() <= SLAB;
            if !can_wait && slab.is_collected(env) {
                slab.release();
            } else {
                self.retired.push_back(weak);
            }
        }
    }

    /// Memory of an earlier result for one of about `len` bytes.
    pub fn earlier(&self, len: usize, options: Options) -> Option<Arc<Memory>> {
        let margin = if options.canaries { CANARY } else { 0 };
        if options.isolated { None } else { self.spare.take_large(len + 2 * margin) }
    }

    /// A place of `len` bytes in a slab.
    fn find(&mut self, len: usize, canaries: bool) -> Result<Range<usize>, Fault> {
        let margin = if canaries { CANARY } else { 0 };
        if let Some(slab) = &self.current
            && (!canaries || slab.has_canary())
            && self.next + 2 * margin + len <= SLAB
        {
            let start = self.next + margin;
            return Ok(start..start + len);
        }
        self.retire();
        let slab = Rc::new(Slab::new(self.spare.take()?, 0..SLAB, canaries, Some(Rc::clone(&self.spare)))?);
        self.note(&slab);
        self.current = Some(slab);
        self.next = 0;
        Ok(margin..margin + len)
    }
}

/// How a result is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In memory that no other result shares or had before.
    pub isolated: bool,
    /// Between canaries.
    pub canaries: bool,
}

/// Memory of one result that is a slab of its own; made on any thread.
#[derive(Debug)]
pub struct Own {
    memory: Arc<Memory>,
    shown: Range<usize>,
    is_isolated: bool,
}

impl Own {
    /// Memory for `len` bytes: that of an earlier result if it is large enough, else new.
    pub fn new(len: usize, options: Options, earlier: Option<Arc<Memory>>) -> Result<Own, Fault> {
        let margin = if options.canaries { CANARY } else { 0 };
        let all = len + 2 * margin;
        let memory = match earlier.filter(|memory| memory.len() >= all) {
            Some(memory) => memory,
            None => Arc::new(Memory::new(all)?),
        };
        Ok(Own { memory, shown: margin..margin + len, is_isolated: options.isolated })
    }

    /// The result's bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: JavaScript does not know of this memory, or has collected what it knew, and the slice borrows its owner.
        unsafe { self.memory.slice(self.shown.start, self.shown.len()) }
    }
}

/// Where one result goes.
#[derive(Debug)]
pub struct Sink<'p> {
    pool: &'p mut Pool,
    isolated: bool,
    canaries: bool,
    place: Place,
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Place {
    None,
    Empty,
    Slab(Range<usize>),
    Own(Own),
    Scratch,
}

impl PlaintextSink for Sink<'_> {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        match self.choose(len) {
            Ok(place) => self.place = place,
            Err(fault) => {
                self.fault = Some(fault);
                return None;
            }
        }
        match &mut self.place {
            Place::None => None,
            Place::Empty => Some(&mut []),
            Place::Own(own) => Some(own.bytes()),
            Place::Scratch => Some(&mut self.pool.scratch.0),
            Place::Slab(place) => {
                let memory = self.pool.current.as_ref()?.memory();
                // SAFETY: from `next` on nothing was given out, JavaScript does not run, and the sink holds the pool.
                Some(unsafe { memory.slice(place.start, place.len()) })
            }
        }
    }
}

impl Sink<'_> {
    fn choose(&mut self, len: usize) -> Result<Place, Fault> {
        let is_small = len <= SHARED;
        if len == 0 {
            Ok(Place::Empty)
        } else if !self.pool.is_external || (is_small && self.isolated && !self.canaries) {
            self.pool.scratch.0.resize(len, 0);
            Ok(Place::Scratch)
        } else if is_small && !self.isolated {
            self.pool.find(len, self.canaries).map(Place::Slab)
        } else {
            let options = Options { isolated: self.isolated, canaries: self.canaries };
            Own::new(len, options, self.pool.earlier(len, options)).map(Place::Own)
        }
    }

    /// Why there was no place, if there was none.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Gives the result to JavaScript: the number of a place in the slab, or an `ArrayBuffer`.
    pub fn finish<'s>(mut self, env: Env<'s>) -> Result<Value<'s>, Stop> {
        match std::mem::replace(&mut self.place, Place::None) {
            Place::None => Err(Fault::Panic.into()),
            Place::Empty => env.int(0),
            Place::Own(own) => self.pool.give(env, own, self.canaries),
            Place::Scratch => {
                let buffer = env.array_buffer(&self.pool.scratch.0);
                self.pool.scratch.clear(KEPT);
                buffer
            }
            Place::Slab(place) => {
                let Some(slab) = &self.pool.current else { return Err(Fault::Panic.into()) };
                let margin = if self.canaries { CANARY } else { 0 };
                self.pool.next = (place.end + margin).next_multiple_of(STEP);
                let fresh = if slab.is_published() { 0 } else { FRESH };
                let number = fresh | ((place.start / STEP) << LENGTH_BITS | place.len()) as i32;
                slab.keep(place, self.canaries);
                env.int(number)
            }
        }
    }
}

impl Drop for Sink<'_> {
    /// Without a result the scratch holds zeroes; it becomes empty.
    fn drop(&mut self) {
        if matches!(self.place, Place::Scratch) {
            self.pool.scratch.clear(KEPT);
        }
    }
}

impl Pool {
    /// The `ArrayBuffer` of a result with memory of its own.
    pub fn give<'s>(&mut self, env: Env<'s>, own: Own, canaries: bool) -> Result<Value<'s>, Stop> {
        let Own { memory, shown, is_isolated } = own;
        if shown.is_empty() {
            return env.array_buffer(&[]);
        }
        let spare = (!is_isolated).then(|| Rc::clone(&self.spare));
        let slab = Rc::new(Slab::new(memory, shown.clone(), canaries, spare)?);
        slab.keep(shown.clone(), canaries);
        if self.is_external {
            if let Some(buffer) = slab.publish(env)? {
                self.note(&slab);
                self.watch(&slab);
                self.tidy(env);
                return Ok(buffer);
            }
            self.is_external = false;
        }
        // SAFETY: JavaScript does not know of this memory, and nothing writes to it now.
        env.array_buffer(unsafe { slab.memory().slice(shown.start, shown.len()) })
    }
}
