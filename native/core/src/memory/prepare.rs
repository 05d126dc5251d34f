//! Making and growing the arena within the lock limit.

use std::sync::{Mutex, PoisonError};

use super::arena::{self, Arena, CORE_SLOTS};
use super::os;
use super::region::Region;
use crate::status::Fault;

/// Hot slots below which the arena does not go for the sake of the lock limit.
const LEAST_HOT: usize = 64;
/// Hot slots above which a wish is cut: 640 MiB of locked memory.
const MOST_HOT: usize = 1 << 20;
/// Core regions that a reduced number of hot slots leaves room for, each good for twelve threads more.
const SPARE_CORE_REGIONS: usize = 2;

/// Hot slots asked for so far.
static WANTED: Mutex<usize> = Mutex::new(0);

/// What the process asks of its guarded memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// How many keys are kept expanded and ready for use (640 bytes each; at least 1, at most 1,048,576).
    pub hot_slots: usize,
    /// Whether a lock limit that is too low is an error rather than a note in [`MemoryStatus`].
    pub require_locked: bool,
}

/// What the guarded memory holds. All zero, but for the limit, when there is none or it cannot be used any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatus {
    /// Bytes locked in RAM.
    pub locked_bytes: u64,
    /// Bytes of guarded memory that the lock limit did not allow to lock.
    pub unlocked_bytes: u64,
    /// `RLIMIT_MEMLOCK` of the process in bytes, which other code uses too; `None` when there is no limit. It does not
    /// bind a process with `CAP_IPC_LOCK`.
    pub lock_limit_bytes: Option<u64>,
    /// Hot slots that exist.
    pub hot_slots: u64,
    /// Hot slots that were asked for.
    pub hot_slots_wanted: u64,
    /// Hot slots that hold a key.
    pub hot_in_use: u64,
    /// Uses of a key that was in a hot slot.
    pub hot_hits: u64,
    /// Uses of a key that had to be taken out of its enclave.
    pub hot_misses: u64,
    /// Slots of the core regions that are given out: sentinel, coffer, and two for each thread.
    pub slots_in_use: u64,
    /// Whether every page is left out of core dumps.
    pub no_dump: bool,
    /// Whether the system itself keeps every page from forked children; without it the child zeroes its copies.
    pub wiped_on_fork: bool,
}

/// Makes the process's guarded memory; a later call with more `hot_slots` adds to it, any other changes nothing.
///
/// When the lock limit does not allow what is asked for, there are fewer hot slots (but not under 64, unless fewer were
/// asked for). What cannot be locked even then is used unlocked and reported by [`status`], or, with `require_locked`,
/// is [`Fault::LockLimit`]; nothing half made stays behind.
///
/// Further faults: [`Fault::Unavailable`] (no guarded memory on this system, or none left), [`Fault::Entropy`],
/// [`Fault::Forked`], [`Fault::Wiped`], [`Fault::Canary`].
///
/// ```
/// use asherah_core::memory::{MemoryOptions, prepare, status};
///
/// prepare(&MemoryOptions { hot_slots: 256, require_locked: false })?;
/// assert_eq!(status().hot_slots_wanted, 256);
/// # Ok::<(), asherah_core::Fault>(())
/// ```
pub fn prepare(options: &MemoryOptions) -> Result<(), Fault> {
    // In a forked child the lock may be held for ever, so the state comes first.
    let existing = arena::any().is_some();
    if existing {
        arena::live()?;
    }
    let asked = options.hot_slots.clamp(1, MOST_HOT);
    let mut wanted = WANTED.lock().unwrap_or_else(PoisonError::into_inner);
    match arena::any() {
        Some(_) => grow(arena::live()?, asked, *wanted, options.require_locked)?,
        None => make(asked, options.require_locked)?,
    }
    *wanted = asked.max(*wanted);
    Ok(())
}

fn make(asked: usize, require_locked: bool) -> Result<(), Fault> {
    let core = Region::map(CORE_SLOTS)?;
    if core.lock() < core.len() && require_locked {
        return Err(Fault::LockLimit);
    }
    let hot = map_hot(asked, asked.min(LEAST_HOT), require_locked)?.ok_or(Fault::Unavailable)?;
    arena::establish(core, hot, require_locked).map(|_| ())
}

fn grow(arena: &Arena, asked: usize, wanted: usize, require_locked: bool) -> Result<(), Fault> {
    if require_locked {
        for region in Region::all().filter(|region| region.locked() < region.len()) {
            if region.lock() < region.len() {
                return Err(Fault::LockLimit);
            }
        }
        arena.require_locked();
    }
    if asked > wanted {
        let missing = asked.saturating_sub(arena.hot.counts().slots);
        if let Some(region) = map_hot(missing, 0, require_locked)? {
            arena.hot.add(region.keep());
        }
    }
    Ok(())
}

/// A region of `asked` hot slots, or of as many as can be locked with some room to spare, but not under `least`.
fn map_hot(asked: usize, least: usize, require_locked: bool) -> Result<Option<Region>, Fault> {
    let spare = SPARE_CORE_REGIONS * Region::bytes_for(CORE_SLOTS)?;
    let mut slots = asked;
    while slots > 0 {
        let region = Region::map(slots)?;
        let locked = region.lock();
        if locked == region.len() {
            return Ok(Some(region));
        }
        if slots <= least {
            return if require_locked { Err(Fault::LockLimit) } else { Ok(Some(region)) };
        }
        // Another part of the process may lock memory meanwhile, so the smaller number has to be tried like the first.
        slots = Region::slots_in(locked.saturating_sub(spare)).max(least).min(slots - 1);
    }
    Ok(None)
}

/// What the guarded memory holds now.
pub fn status() -> MemoryStatus {
    let lock_limit_bytes = os::lock_limit();
    let Ok(arena) = arena::live() else {
        return MemoryStatus { lock_limit_bytes, ..MemoryStatus::default() };
    };
    let hot = arena.hot.counts();
    let (locked, all) =
        Region::all().fold((0, 0), |(locked, all), region| (locked + region.locked(), all + region.len()));
    MemoryStatus {
        locked_bytes: locked as u64,
        unlocked_bytes: (all - locked) as u64,
        lock_limit_bytes,
        hot_slots: hot.slots as u64,
        hot_slots_wanted: *WANTED.lock().unwrap_or_else(PoisonError::into_inner) as u64,
        hot_in_use: hot.in_use as u64,
        hot_hits: hot.hits,
        hot_misses: hot.misses,
        slots_in_use: arena.core_in_use() as u64,
        no_dump: Region::all().all(|region| region.advice().no_dump),
        wiped_on_fork: Region::all().all(|region| region.advice().wiped_on_fork),
    }
}

/// Compares every canary now, not only when slots change hands.
///
/// [`Fault::Canary`] once one was overwritten, and from then on for every operation.
pub fn inspect() -> Result<(), Fault> {
    let arena = arena::live()?;
    Region::all().try_for_each(|region| arena.inspect(region))
}
