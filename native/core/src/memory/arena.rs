//! The process's arena: its state, its sentinel and the slots of its core regions.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::coffer::Coffer;
use super::hot::HotPool;
use super::os;
use super::region::Region;
use super::slot::{CoreSlot, Place};
use crate::status::Fault;

/// Slots of a core region: with both canaries just under 16 KiB, so that core, least hot slots and a default limit of
/// 64 KiB go together.
pub(super) const CORE_SLOTS: usize = 25;

/// Core slots that are taken when the arena is made: the sentinel's and the coffer's three.
pub(super) const FIXED_SLOTS: usize = 4;

const NONE: u8 = 0;
const LIVE: u8 = 1;
const WIPED: u8 = 2;
const FORKED: u8 = 3;
const BROKEN: u8 = 4;

static STATE: AtomicU8 = AtomicU8::new(NONE);
static ARENA: OnceLock<Arena> = OnceLock::new();

/// What there is one of in a process.
#[derive(Debug)]
pub(super) struct Arena {
    sentinel: NonNull<AtomicU64>,
    expected: u64,
    process: u32,
    core: Mutex<Core>,
    require_locked: AtomicBool,
    pub(super) coffer: Coffer,
    pub(super) hot: HotPool,
}

// SAFETY: the sentinel is an atomic in a mapping that stays; all else is Send and Sync by itself.
unsafe impl Send for Arena {}
// SAFETY: as for Send.
unsafe impl Sync for Arena {}

#[derive(Debug)]
struct Core {
    free: Vec<Place>,
    total: usize,
}

/// The arena, if it can be used now.
#[inline]
pub(super) fn live() -> Result<&'static Arena, Fault> {
    match ARENA.get() {
        Some(arena) => arena.alive().map(|()| arena),
        None => Err(without_arena()),
    }
}

/// The arena, whatever its state.
pub(super) fn any() -> Option<&'static Arena> {
    ARENA.get()
}

#[cold]
fn without_arena() -> Fault {
    Fault::Unavailable
}

/// Whether this is a forked child: then no lock may be taken and no slot touched.
pub(super) fn forked() -> bool {
    STATE.load(Ordering::Relaxed) == FORKED
        || ARENA.get().is_some_and(|arena| arena.alive() == Err(Fault::Forked))
}

/// Makes the arena of a core region, whose slots nobody uses yet, and the first hot region.
pub(super) fn establish(core: Region, hot: Region, require_locked: bool) -> Result<&'static Arena, Fault> {
    let mut seed = [0u8; 8];
    // SAFETY: the array's own bytes, and then the first bytes of three slots of a region that is ours alone. The coffer's
    // key is left XOR SHA-256(right): random halves make a random key, which need not be known here.
    unsafe {
        os::entropy(seed.as_mut_ptr(), seed.len())?;
        for half in [1, 2] {
            os::entropy((&raw mut (*core.slot(half).as_ptr()).raw).cast(), crate::aead::KEY)?;
        }
    }
    let expected = u64::from_ne_bytes(seed) | 1;
    os::watch(in_forked_child, at_exit)?;
    let core = core.keep();
    let mut free: Vec<Place> = Place::all(core).collect();
    let total = free.len();
    let fixed: Vec<Place> = free.drain(..FIXED_SLOTS).collect();
    let sentinel: NonNull<AtomicU64> = core.slot(0).cast();
    // SAFETY: the first bytes of slot 0, which is taken for this alone; aligned to 64.
    unsafe { sentinel.as_ref() }.store(expected, Ordering::Relaxed);
    let arena = Arena {
        sentinel,
        expected,
        process: std::process::id(),
        core: Mutex::new(Core { free, total }),
        require_locked: AtomicBool::new(require_locked),
        coffer: Coffer::new(fixed[1], fixed[2], fixed[3]),
        hot: HotPool::default(),
    };
    arena.hot.add(hot.keep());
    let arena = ARENA.get_or_init(|| arena);
    STATE.store(LIVE, Ordering::Release);
    Ok(arena)
}

impl Arena {
    /// Whether the arena can be used, and if not, why.
    ///
    /// Asked before an operation, and again before its result is handed out: whoever wipes takes the sentinel away
    /// before the first slot, so a result that was computed with a wiped slot is never seen.
    #[inline]
    pub(super) fn alive(&self) -> Result<(), Fault> {
        fence(Ordering::Acquire);
        if STATE.load(Ordering::Relaxed) == LIVE && self.sentinel() == self.expected {
            Ok(())
        } else {
            Err(self.cause())
        }
    }

    #[inline]
    fn sentinel(&self) -> u64 {
        // SAFETY: an aligned atomic in a mapping that stays. Only asked for while the state is LIVE: a forked child of
        // a system where the pages are not inherited has been told so by `in_forked_child`.
        unsafe { self.sentinel.as_ref() }.load(Ordering::Relaxed)
    }

    #[cold]
    fn cause(&self) -> Fault {
        if STATE.load(Ordering::Acquire) == LIVE {
            // The sentinel is gone although nobody said so. A child made without the C library's fork finds it zero.
            let now = if std::process::id() == self.process { BROKEN } else { FORKED };
            let _ = STATE.compare_exchange(LIVE, now, Ordering::AcqRel, Ordering::Acquire);
        }
        match STATE.load(Ordering::Acquire) {
            WIPED => Fault::Wiped,
            FORKED => Fault::Forked,
            BROKEN => Fault::Canary,
            _ => Fault::Unavailable,
        }
    }

    /// Compares a region's canaries; a mismatch makes the arena unusable for good.
    pub(super) fn inspect(&self, region: &Region) -> Result<(), Fault> {
        // The final wipe takes canaries too, so what counts is what the state was before and after.
        if region.intact() {
            return Ok(());
        }
        self.alive()?;
        let _ = STATE.compare_exchange(LIVE, BROKEN, Ordering::AcqRel, Ordering::Acquire);
        Err(self.cause())
    }

    /// Takes a zeroed core slot; maps a further region when none is left.
    pub(super) fn take(&self) -> Result<CoreSlot, Fault> {
        let mut core = self.core();
        if core.free.is_empty() {
            let region = Region::map(CORE_SLOTS)?;
            if region.lock() < region.len() && self.require_locked.load(Ordering::Relaxed) {
                return Err(Fault::LockLimit);
            }
            let region = region.keep();
            core.free.extend(Place::all(region));
            core.total += region.slots();
        }
        core.free.pop().map(CoreSlot::new).ok_or(Fault::OutOfSlots)
    }

    /// Puts a zeroed core slot back.
    pub(super) fn give_back(&self, place: Place) {
        // A mismatch is kept in the state and is the next caller's error.
        let _ = self.inspect(place.region());
        self.core().free.push(place);
    }

    /// From now on memory that cannot be locked is an error.
    pub(super) fn require_locked(&self) {
        self.require_locked.store(true, Ordering::Relaxed);
    }

    /// Core slots that are given out.
    pub(super) fn core_in_use(&self) -> usize {
        let core = self.core();
        core.total - core.free.len()
    }

    /// Core slots that are not given out.
    #[cfg(test)]
    pub(super) fn free_places(&self) -> Vec<Place> {
        self.core().free.clone()
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs in a child after the C library's `fork`, before anything else of the child.
extern "C" fn in_forked_child() {
    if matches!(STATE.load(Ordering::Relaxed), LIVE | BROKEN) {
        STATE.store(FORKED, Ordering::Relaxed);
        // Where the system does not keep the pages from a child, the child zeroes its copies.
        for region in Region::all().filter(|region| !region.advice().wiped_on_fork) {
            region.wipe();
        }
    }
}

/// The final wipe: takes no lock and allocates nothing, for other threads may be stopped anywhere.
extern "C" fn at_exit() {
    let Some(arena) = ARENA.get() else { return };
    let state = STATE.load(Ordering::Acquire);
    if !matches!(state, LIVE | BROKEN) || std::process::id() != arena.process {
        return;
    }
    if !Region::all().all(Region::intact) {
        os::complain("asherah: a canary of the guarded memory was overwritten\n");
        STATE.store(BROKEN, Ordering::Release);
    } else {
        let _ = STATE.compare_exchange(LIVE, WIPED, Ordering::AcqRel, Ordering::Acquire);
    }
    // SAFETY: as in `sentinel`; this is the process that made the arena.
    unsafe { arena.sentinel.as_ref() }.store(0, Ordering::SeqCst);
    fence(Ordering::SeqCst);
    for region in Region::all() {
        region.wipe();
    }
}
