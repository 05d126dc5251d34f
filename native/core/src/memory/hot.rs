//! Hot slots: expanded keys. The oldest that was not used again gives way to another, and none while it is in use.
//!
//! A use of a key that is hot takes no lock, and writes to nothing but its own slot's entry: threads that use different
//! keys do not pass a cache line around. Under one lock that every use took, two threads sealed 1.3 times what one did.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::region::Region;
use super::slot::Place;
use crate::aead::Context;
use crate::status::Fault;

/// No slot.
pub(super) const NOWHERE: u32 = u32::MAX;

/// How long a caller waits for another thread that expands the same key, which takes about a microsecond.
const PATIENCE: Duration = Duration::from_secs(5);

const EMPTY: u8 = 0;
const FILLING: u8 = 1;
const READY: u8 = 2;

/// Regions of hot slots; each call of [`prepare`](super::prepare()) that wants more makes one.
const REGIONS: usize = 256;
/// A slot's number is its region's, and its place in that region in so many bits.
const PLACE_BITS: u32 = 20;

/// Of [`Entry::uses`]: one caller that uses the slot now.
const PIN: u64 = 1;
/// All of them.
const PINS: u64 = TAKEN - 1;
/// The slot is changing hands.
const TAKEN: u64 = 1 << 23;
/// One use, counted.
const USE: u64 = 1 << 24;

/// One hot slot, on cache lines of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Entry {
    place: Place,
    /// Number of the key that the slot belongs to; 0 is nobody's. Changed under the lock, and while nobody uses the slot.
    owner: AtomicU64,
    /// Callers that use the slot now, whether it changes hands, and how often a key was found in it.
    uses: AtomicU64,
    filled: AtomicU8,
    /// Used again since it came or the hand last passed.
    visited: AtomicBool,
}

impl Entry {
    /// Pins the slot if it is this key's.
    #[inline]
    fn pin(&self, owner: u64) -> bool {
        if self.owner.load(Ordering::Acquire) != owner {
            return false;
        }
        let before = self.uses.fetch_add(PIN + USE, Ordering::Acquire);
        // The slot changes hands only while nobody uses it, so what holds now holds until the pin is gone.
        if before & TAKEN != 0 || self.owner.load(Ordering::Acquire) != owner {
            self.uses.fetch_sub(PIN + USE, Ordering::Release);
            return false;
        }
        if !self.visited.load(Ordering::Relaxed) {
            self.visited.store(true, Ordering::Relaxed);
        }
        true
    }

    /// Takes the slot from its key, unless somebody uses it.
    fn take(&self) -> bool {
        let uses = self.uses.load(Ordering::Relaxed);
        uses & PINS == 0
            && self.uses.compare_exchange(uses, uses | TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives a slot that was taken, pinned once, to a key. What it holds of the old one is zeroed by [`Pin::ready`].
    fn give(&self, owner: u64) {
        self.filled.store(EMPTY, Ordering::Relaxed);
        self.visited.store(false, Ordering::Relaxed);
        self.owner.store(owner, Ordering::Release);
        self.uses.fetch_sub(TAKEN - PIN, Ordering::Release);
    }
}

#[derive(Debug, Default)]
struct Table {
    /// How many regions there are.
    regions: usize,
    /// Numbers of slots that are nobody's.
    free: Vec<u32>,
    slots: usize,
    /// The region and place where the next search for a victim begins.
    hand: (usize, usize),
    misses: u64,
}

/// The process's hot slots.
#[derive(Debug)]
pub(super) struct HotPool {
    regions: [OnceLock<&'static [Entry]>; REGIONS],
    table: Mutex<Table>,
}

/// What the pool holds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HotCounts {
    pub(super) slots: usize,
    pub(super) in_use: usize,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl Default for HotPool {
    fn default() -> HotPool {
        HotPool { regions: [const { OnceLock::new() }; REGIONS], table: Mutex::default() }
    }
}

impl HotPool {
    /// Adds a region's slots; none of them when there are too many regions already.
    pub(super) fn add(&self, region: &'static Region) {
        let entry = |place| Entry {
            place,
            owner: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            filled: AtomicU8::new(EMPTY),
            visited: AtomicBool::new(false),
        };
        let mut table = self.table();
        let number = table.regions;
        let Some(empty) = self.regions.get(number) else { return };
        let entries: &'static [Entry] =
            Box::leak(Place::all(region).take(1 << PLACE_BITS).map(entry).collect());
        if empty.set(entries).is_ok() {
            table.regions += 1;
            table.slots += entries.len();
            table.free.extend((0..entries.len()).rev().map(|place| number_of(number, place)));
        }
    }

    /// Pins the slot of key `owner`: the one named by `hint` if it is still that key's, else a free or evicted one,
    /// which the caller has to fill. `None` when every slot is in use at this moment.
    #[inline]
    pub(super) fn pin(&self, owner: u64, hint: &AtomicU32) -> Option<Pin> {
        match self.entry(hint.load(Ordering::Relaxed)) {
            Some(entry) if entry.pin(owner) => Some(Pin { entry }),
            _ => self.pin_anew(owner, hint),
        }
    }

    #[cold]
    fn pin_anew(&self, owner: u64, hint: &AtomicU32) -> Option<Pin> {
        let mut table = self.table();
        // Another thread may have given the key a slot meanwhile.
        if let Some(entry) = self.entry(hint.load(Ordering::Relaxed))
            && entry.pin(owner)
        {
            return Some(Pin { entry });
        }
        table.misses += 1;
        let number = self.vacate(&mut table)?;
        let entry = self.entry(number)?;
        entry.give(owner);
        hint.store(number, Ordering::Relaxed);
        Some(Pin { entry })
    }

    /// A slot that was taken from whoever had it.
    fn vacate(&self, table: &mut Table) -> Option<u32> {
        // A caller whose key had a free slot before may be finding out just now that it has it no more.
        for at in (0..table.free.len()).rev() {
            if self.entry(table.free[at]).is_some_and(Entry::take) {
                return Some(table.free.swap_remove(at));
            }
        }
        // Each visit is forgotten on the way, so the second time round finds one unless all are in use.
        for _ in 0..=2 * table.slots {
            let (region, place) = table.hand;
            let entries = self.regions.get(region)?.get()?;
            table.hand = match place + 1 < entries.len() {
                true => (region, place + 1),
                false => ((region + 1) % table.regions, 0),
            };
            let entry = &entries[place];
            // A slot that is nobody's stays with the free ones.
            if entry.owner.load(Ordering::Relaxed) != 0
                && !entry.visited.swap(false, Ordering::Relaxed)
                && entry.take()
            {
                return Some(number_of(region, place));
            }
        }
        None
    }

    /// Takes the slot of a key that is no more, and zeroes it. Nobody can have it pinned.
    pub(super) fn forget(&self, arena: &Arena, owner: u64, hint: u32) {
        let mut table = self.table();
        let Some(entry) = self.entry(hint).filter(|entry| entry.owner.load(Ordering::Relaxed) == owner)
        else {
            return;
        };
        entry.filled.store(EMPTY, Ordering::Relaxed);
        entry.visited.store(false, Ordering::Relaxed);
        entry.owner.store(0, Ordering::Release);
        // SAFETY: only its key's callers pin a slot, the key is being dropped, and the table is locked.
        unsafe { entry.place.wipe() };
        table.free.push(hint);
        drop(table);
        // A mismatch is kept in the arena's state and is the next caller's error.
        let _ = arena.inspect(entry.place.region());
    }

    /// What the pool holds now.
    pub(super) fn counts(&self) -> HotCounts {
        let table = self.table();
        let entries = self.regions.iter().filter_map(OnceLock::get).flat_map(|entries| entries.iter());
        HotCounts {
            slots: table.slots,
            in_use: table.slots - table.free.len(),
            hits: entries.map(|entry| entry.uses.load(Ordering::Relaxed) / USE).sum(),
            misses: table.misses,
        }
    }

    #[inline]
    fn entry(&self, number: u32) -> Option<&'static Entry> {
        let entries = self.regions.get((number >> PLACE_BITS) as usize)?.get()?;
        entries.get((number & ((1 << PLACE_BITS) - 1)) as usize)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of this number.
    #[cfg(test)]
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.entry(number).map(|entry| entry.place)
    }
}

fn number_of(region: usize, place: usize) -> u32 {
    // Below 256 regions of at most 2^20 slots; `NOWHERE` would be the last slot of region 4,095.
    ((region << PLACE_BITS) | place) as u32
}

/// A slot that is not evicted as long as this lives.
#[derive(Debug)]
pub(super) struct Pin {
    entry: &'static Entry,
}

impl Pin {
    /// Makes sure that the slot holds the expanded key: by waiting for the thread that is at it, or by writing the raw
    /// key with `open` and expanding it.
    pub(super) fn ready(
        &self,
        arena: &Arena,
        open: impl FnOnce(*mut u8) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.entry.filled.load(Ordering::Acquire) == READY {
            return Ok(());
        }
        let mut waiting = None;
        loop {
            match self.entry.filled.compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(READY) => return Ok(()),
                Err(_) => {
                    if waiting.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                        return Err(Fault::OutOfSlots);
                    }
                    arena.alive()?;
                    std::thread::yield_now();
                }
            }
        }
        let filled = self.fill(arena, open);
        if filled.is_err() {
            // SAFETY: as in `fill`.
            unsafe { self.entry.place.wipe() };
        }
        self.entry.filled.store(if filled.is_ok() { READY } else { EMPTY }, Ordering::Release);
        filled
    }

    fn fill(&self, arena: &Arena, open: impl FnOnce(*mut u8) -> Result<(), Fault>) -> Result<(), Fault> {
        // SAFETY: FILLING gives this thread the slot alone: others that pinned it wait, and a pinned slot is not evicted.
        unsafe {
            self.entry.place.wipe();
            arena.inspect(self.entry.place.region())?;
            open(self.entry.place.raw())?;
            self.entry.place.expand()?;
            self.entry.place.wipe_raw();
        }
        arena.alive()
    }

    /// The expanded key, once `ready` said so.
    pub(super) fn context(&self) -> &Context {
        // SAFETY: READY, so nobody writes the slot until the last pin is gone; this one lives as long as the borrow.
        unsafe { &*self.entry.place.context() }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.entry.uses.fetch_sub(PIN, Ordering::Release);
    }
}
