//! Slots: the unit in which guarded memory is given out.

use std::ptr::{self, NonNull};

use super::arena;
use super::region::Region;
use crate::aead::{Context, KEY};
use crate::status::Fault;

/// Bytes from one slot to the next.
pub(super) const STRIDE: usize = 640;

/// One slot: a raw key and room for its expanded form. All zero is its resting state.
#[repr(C, align(64))]
pub(super) struct Slot {
    pub(super) context: Context,
    pub(super) raw: [u8; KEY],
}

const _: () = assert!(size_of::<Slot>() == STRIDE);

/// Zeroes memory in a way that the compiler may not leave out.
///
/// # Safety
/// `first` is valid for writes of `len` bytes.
pub(super) unsafe fn zero(first: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write_bytes(first, 0, len) };
    // SAFETY: still valid; the barrier only makes the compiler believe that the bytes are looked at.
    zeroize::optimization_barrier(unsafe { std::slice::from_raw_parts(first, len) });
}

/// Where a slot is; whoever holds one follows the rules of its owner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    slot: NonNull<Slot>,
    region: &'static Region,
}

// SAFETY: a place is an address in a mapping that stays; what may be done with it is decided by its owner.
unsafe impl Send for Place {}
// SAFETY: as for Send.
unsafe impl Sync for Place {}

impl Place {
    /// Every slot of a region.
    pub(super) fn all(region: &'static Region) -> impl Iterator<Item = Place> {
        (0..region.slots()).map(move |number| Place { slot: region.slot(number), region })
    }

    /// The region that it lies in.
    pub(super) fn region(self) -> &'static Region {
        self.region
    }

    /// The slot.
    pub(super) fn as_ptr(self) -> *mut Slot {
        self.slot.as_ptr()
    }

    /// The raw key bytes.
    pub(super) fn raw(self) -> *mut u8 {
        // SAFETY: a field's address, inside the slot.
        unsafe { (&raw mut (*self.slot.as_ptr()).raw).cast() }
    }

    /// The expanded key.
    pub(super) fn context(self) -> *mut Context {
        // SAFETY: a field's address, inside the slot.
        unsafe { &raw mut (*self.slot.as_ptr()).context }
    }

    /// Expands the raw key into the context.
    ///
    /// # Safety
    /// The caller owns the slot alone.
    pub(super) unsafe fn expand(self) -> Result<(), Fault> {
        // SAFETY: both fields are of this slot and do not overlap; the slot never moves.
        unsafe { Context::init_at(self.context(), self.raw()) }
    }

    /// Zeroes the slot.
    ///
    /// # Safety
    /// The caller owns the slot alone.
    pub(super) unsafe fn wipe(self) {
        // SAFETY: the context is zero or was made by `expand`, and the slot is ours.
        unsafe {
            Context::cleanup_at(self.context());
            zero(self.as_ptr().cast(), STRIDE);
        }
    }

    /// Zeroes the raw key alone.
    ///
    /// # Safety
    /// The caller owns the slot alone.
    pub(super) unsafe fn wipe_raw(self) {
        // SAFETY: the field's own bytes.
        unsafe { zero(self.raw(), KEY) }
    }
}

/// A slot of the core regions, owned alone. Zeroed and given back when dropped.
#[derive(Debug)]
pub(super) struct CoreSlot {
    place: Place,
}

impl CoreSlot {
    /// Takes possession of a zeroed slot that the arena has just taken off its free list.
    pub(super) fn new(place: Place) -> CoreSlot {
        CoreSlot { place }
    }

    /// Where it is.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The raw key.
    pub(super) fn raw(&self) -> &[u8; KEY] {
        // SAFETY: owned alone, and borrowed for as long as the result; any bytes are valid.
        unsafe { &*self.place.raw().cast() }
    }

    /// The raw key, to write.
    pub(super) fn raw_mut(&mut self) -> &mut [u8; KEY] {
        // SAFETY: as `raw`, exclusively.
        unsafe { &mut *self.place.raw().cast() }
    }

    /// The expanded key; without one it refuses every call.
    pub(super) fn context(&self) -> &Context {
        // SAFETY: as `raw`; all zero is a valid context.
        unsafe { &*self.place.context() }
    }

    /// Expands the raw key.
    pub(super) fn expand(&mut self) -> Result<(), Fault> {
        // SAFETY: owned alone.
        unsafe { self.place.expand() }
    }

    /// Zeroes the slot.
    pub(super) fn wipe(&mut self) {
        // SAFETY: owned alone.
        unsafe { self.place.wipe() }
    }
}

impl Drop for CoreSlot {
    fn drop(&mut self) {
        // In a forked child the memory is the parent's, its pages may be missing, and a lock may be held for ever.
        if arena::forked() {
            return;
        }
        self.wipe();
        if let Some(arena) = arena::any() {
            arena.give_back(self.place);
        }
    }
}
