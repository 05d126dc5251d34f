//! Hot slots: expanded keys, evicted by least recent use and never while in use.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// What is changed without the table's lock.
#[derive(Debug, Default)]
struct Use {
    /// Callers that use the slot now. Raised under the lock, lowered without.
    pins: AtomicU32,
    filled: AtomicU8,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    usage: &'static Use,
    /// Number of the key that the slot belongs to; 0 is nobody's.
    owner: u64,
    newer: u32,
    older: u32,
}

#[derive(Debug)]
struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    hits: u64,
    misses: u64,
}

/// The process's hot slots.
#[derive(Debug)]
pub(super) struct HotPool {
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
        let table = Table {
            entries: Vec::new(),
            free: Vec::new(),
            newest: NOWHERE,
            oldest: NOWHERE,
            hits: 0,
            misses: 0,
        };
        HotPool { table: Mutex::new(table) }
    }
}

impl HotPool {
    /// Adds a region's slots.
    pub(super) fn add(&self, region: &'static Region) {
        let usage: &'static [Use] = Box::leak((0..region.slots()).map(|_| Use::default()).collect());
        let mut table = self.table();
        for (place, usage) in Place::all(region).zip(usage) {
            let Ok(number) = u32::try_from(table.entries.len()) else { return };
            table.entries.push(Entry { place, usage, owner: 0, newer: NOWHERE, older: NOWHERE });
            table.free.push(number);
        }
    }

    /// Pins the slot of key `owner`: the one named by `hint` if it is still that key's, else a free or evicted one,
    /// which the caller has to fill. `None` when every slot is in use at this moment.
    pub(super) fn pin(&self, owner: u64, hint: &AtomicU32) -> Option<Pin> {
        let mut table = self.table();
        let mut number = hint.load(Ordering::Relaxed);
        if table.entries.get(number as usize).is_some_and(|entry| entry.owner == owner) {
            table.hits += 1;
            table.unlink(number);
        } else {
            table.misses += 1;
            number = match table.free.pop() {
                Some(number) => number,
                None => table.victim()?,
            };
            table.entries[number as usize].owner = owner;
            hint.store(number, Ordering::Relaxed);
        }
        table.push_newest(number);
        let entry = &table.entries[number as usize];
        entry.usage.pins.fetch_add(1, Ordering::Relaxed);
        Some(Pin { place: entry.place, usage: entry.usage })
    }

    /// Takes the slot of a key that is no more, and zeroes it. Nobody can have it pinned.
    pub(super) fn forget(&self, arena: &Arena, owner: u64, hint: u32) {
        let mut table = self.table();
        if table.entries.get(hint as usize).is_none_or(|entry| entry.owner != owner) {
            return;
        }
        table.unlink(hint);
        let entry = &mut table.entries[hint as usize];
        entry.owner = 0;
        entry.usage.filled.store(EMPTY, Ordering::Relaxed);
        // SAFETY: only its key's callers pin a slot, the key is being dropped, and the table is locked.
        unsafe { entry.place.wipe() };
        let region = entry.place.region();
        table.free.push(hint);
        drop(table);
        // A mismatch is kept in the arena's state and is the next caller's error.
        let _ = arena.inspect(region);
    }

    /// What the pool holds now.
    pub(super) fn counts(&self) -> HotCounts {
        let table = self.table();
        let slots = table.entries.len();
        HotCounts { slots, in_use: slots - table.free.len(), hits: table.hits, misses: table.misses }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of this number.
    #[cfg(test)]
    pub(super) fn place(&self, number: u32) -> Option<Place> {
        self.table().entries.get(number as usize).map(|entry| entry.place)
    }
}

impl Table {
    /// Takes the slot that was not used for the longest time from its key, pinned ones left out.
    fn victim(&mut self) -> Option<u32> {
        let mut number = self.oldest;
        loop {
            let entry = self.entries.get(number as usize)?;
            // Pins are raised under the lock only, so one that is free here stays so.
            if entry.usage.pins.load(Ordering::Acquire) == 0 {
                break;
            }
            number = entry.newer;
        }
        self.unlink(number);
        // The bytes of the old key are zeroed by `Pin::ready`, by this very thread.
        self.entries[number as usize].usage.filled.store(EMPTY, Ordering::Relaxed);
        Some(number)
    }

    fn unlink(&mut self, number: u32) {
        let (newer, older) = (self.entries[number as usize].newer, self.entries[number as usize].older);
        match self.entries.get_mut(newer as usize) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn push_newest(&mut self, number: u32) {
        let second = std::mem::replace(&mut self.newest, number);
        match self.entries.get_mut(second as usize) {
            Some(entry) => entry.newer = number,
            None => self.oldest = number,
        }
        let entry = &mut self.entries[number as usize];
        (entry.newer, entry.older) = (NOWHERE, second);
    }
}

/// A slot that is not evicted as long as this lives.
#[derive(Debug)]
pub(super) struct Pin {
    place: Place,
    usage: &'static Use,
}

impl Pin {
    /// Makes sure that the slot holds the expanded key: by waiting for the thread that is at it, or by writing the raw
    /// key with `open` and expanding it.
    pub(super) fn ready(
        &self,
        arena: &Arena,
        open: impl FnOnce(*mut u8) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut waiting = None;
        loop {
            match self.usage.filled.compare_exchange(EMPTY, FILLING, Ordering::Acquire, Ordering::Acquire) {
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
            unsafe { self.place.wipe() };
        }
        self.usage.filled.store(if filled.is_ok() { READY } else { EMPTY }, Ordering::Release);
        filled
    }

    fn fill(&self, arena: &Arena, open: impl FnOnce(*mut u8) -> Result<(), Fault>) -> Result<(), Fault> {
        // SAFETY: FILLING gives this thread the slot alone: others that pinned it wait, and a pinned slot is not evicted.
        unsafe {
            self.place.wipe();
            arena.inspect(self.place.region())?;
            open(self.place.raw())?;
            self.place.expand()?;
            self.place.wipe_raw();
        }
        arena.alive()
    }

    /// The expanded key, once `ready` said so.
    pub(super) fn context(&self) -> &Context {
        // SAFETY: READY, so nobody writes the slot until the last pin is gone; this one lives as long as the borrow.
        unsafe { &*self.place.context() }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.usage.pins.fetch_sub(1, Ordering::Release);
    }
}
