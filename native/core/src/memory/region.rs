//! One mapping of guarded memory: guard page, canary, slots, canary, guard page.

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::os::{self, Advice};
use super::slot::{STRIDE, Slot};
use crate::status::Fault;

/// Bytes of canary before the first slot, and the least after the last one. Keeps the slots aligned to 64 bytes.
const EDGE: usize = 64;

/// Every region of the arena, newest first; only ever added to, so that the final wipe needs no lock.
static NEWEST: AtomicPtr<Region> = AtomicPtr::new(ptr::null_mut());

/// One mapping. Once in the arena it stays until the process ends.
#[derive(Debug)]
pub(super) struct Region {
    data: NonNull<u8>,
    len: usize,
    slots: usize,
    /// What both edges hold: `EDGE` bytes for the front, then those that fill the rear up to the guard page.
    canary: Box<[u8]>,
    locked: AtomicUsize,
    advice: Advice,
    older: AtomicPtr<Region>,
}

// SAFETY: the mapping is reached through raw pointers by the owners of its slots only; every other field is constant or
// atomic.
unsafe impl Send for Region {}
// SAFETY: as for Send.
unsafe impl Sync for Region {}

impl Region {
    /// Data bytes of a region with so many slots, in whole pages.
    pub(super) fn bytes_for(slots: usize) -> Result<usize, Fault> {
        let page = os::page();
        let bytes = slots.checked_mul(STRIDE).and_then(|bytes| bytes.checked_add(2 * EDGE + page - 1));
        bytes.map(|bytes| bytes / page * page).ok_or(Fault::Unavailable)
    }

    /// Slots that so many data bytes have room for.
    pub(super) fn slots_in(bytes: usize) -> usize {
        bytes.saturating_sub(2 * EDGE) / STRIDE
    }

    /// Maps a region for so many slots; nothing is locked yet.
    pub(super) fn map(slots: usize) -> Result<Region, Fault> {
        let len = Region::bytes_for(slots)?;
        let mut canary = vec![0u8; len - slots * STRIDE].into_boxed_slice();
        // SAFETY: the vector's own bytes.
        unsafe { os::entropy(canary.as_mut_ptr(), canary.len())? };
        let data = os::map_guarded(len)?;
        let region = Region {
            data,
            len,
            slots,
            canary,
            locked: AtomicUsize::new(0),
            advice: os::advise(data, len),
            older: AtomicPtr::new(ptr::null_mut()),
        };
        let (front, rear) = region.canary.split_at(EDGE);
        // SAFETY: the front edge and all that follows the last slot are inside the mapping, which is still ours alone.
        unsafe {
            ptr::copy_nonoverlapping(front.as_ptr(), data.as_ptr(), EDGE);
            ptr::copy_nonoverlapping(rear.as_ptr(), data.as_ptr().add(EDGE + slots * STRIDE), rear.len());
        }
        Ok(region)
    }

    /// Locks as many pages from the front as the limit allows, and says how many bytes are locked then.
    pub(super) fn lock(&self) -> usize {
        let page = os::page();
        if os::lock(self.data, self.len) {
            self.locked.store(self.len, Ordering::Relaxed);
            return self.len;
        }
        os::unlock(self.data, self.len);
        let (mut fits, mut fails) = (0, self.len / page);
        while fits + 1 < fails {
            let middle = usize::midpoint(fits, fails);
            if os::lock(self.data, middle * page) {
                fits = middle;
            } else {
                fails = middle;
            }
        }
        self.locked.store(fits * page, Ordering::Relaxed);
        fits * page
    }

    /// Puts the region into the arena for good.
    pub(super) fn keep(self) -> &'static Region {
        let region: &'static Region = Box::leak(Box::new(self));
        let mut newest = NEWEST.load(Ordering::Acquire);
        loop {
            region.older.store(newest, Ordering::Relaxed);
            let mine = ptr::from_ref(region).cast_mut();
            match NEWEST.compare_exchange_weak(newest, mine, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return region,
                Err(other) => newest = other,
            }
        }
    }

    /// The arena's regions, newest first.
    pub(super) fn all() -> impl Iterator<Item = &'static Region> {
        let mut next = NEWEST.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            // SAFETY: the list holds null or leaked regions only.
            let region: &'static Region = unsafe { next.as_ref()? };
            next = region.older.load(Ordering::Relaxed);
            Some(region)
        })
    }

    /// Data bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of them that are locked.
    pub(super) fn locked(&self) -> usize {
        self.locked.load(Ordering::Relaxed)
    }

    /// Number of slots.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// What the system granted.
    pub(super) fn advice(&self) -> Advice {
        self.advice
    }

    /// The slot of this number. Whoever asks decides who owns it.
    pub(super) fn slot(&self, number: usize) -> NonNull<Slot> {
        debug_assert!(number < self.slots);
        // SAFETY: inside the mapping, for `number` is smaller than `slots`.
        unsafe { self.data.add(EDGE + number * STRIDE).cast() }
    }

    /// Whether both canaries are as they were.
    pub(super) fn intact(&self) -> bool {
        let (front, rear) = self.canary.split_at(EDGE);
        // SAFETY: both edges lie inside the mapping and are written by nobody but `map` and `wipe`. Bytes that
        // something else writes at this moment at worst read as a mixture, which counts as overwritten.
        unsafe {
            let end = self.data.as_ptr().add(EDGE + self.slots * STRIDE);
            std::slice::from_raw_parts(self.data.as_ptr(), EDGE) == front
                && std::slice::from_raw_parts(end, rear.len()) == rear
        }
    }

    /// Zeroes all data pages, canaries too.
    pub(super) fn wipe(&self) {
        // SAFETY: the whole of the mapping's data. Threads that still use a slot find zeroes and then a sentinel that
        // is gone, and throw their result away.
        unsafe { super::slot::zero(self.data.as_ptr(), self.len) };
    }

    /// First data byte and number of data bytes.
    #[cfg(test)]
    pub(super) fn span(&self) -> (*mut u8, usize) {
        (self.data.as_ptr(), self.len)
    }
}

impl Drop for Region {
    /// Only for a region that never came into the arena.
    fn drop(&mut self) {
        self.wipe();
        // SAFETY: no slot of it was given out, for that needs `keep`, which never drops.
        unsafe { os::unmap_guarded(self.data, self.len) };
    }
}
