//! The ring: every key that the process may use at once, found without leaving the data plane.

mod cell;
mod freshness;
mod sieve;
mod store;
mod tally;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use cell::Standing;
pub(crate) use cell::{Answer, Cell};
pub use freshness::Freshness;
pub(crate) use freshness::Verdict;
use store::Store;
use tally::Tally;

use crate::clock::{Clock, Now};
use crate::gate::Gate;
use crate::memory::Key;
use crate::status::Fault;

/// How a ring is made.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Most keys held; at least one.
    pub capacity: usize,
    /// Region suffix of newly written ids, empty for none.
    pub suffix: String,
    /// Further suffixes that the partition gate accepts when `suffix` is set.
    pub accepted_suffixes: Vec<String>,
}

/// What a ring has done and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingStats {
    /// Keys held.
    pub keys: usize,
    /// Most keys held.
    pub capacity: usize,
    /// Questions answered with a key.
    pub hits: u64,
    /// Questions answered without: no usable key, or its check is overdue.
    pub misses: u64,
    /// Of the hits, those with a key whose check was outstanding.
    pub stale: u64,
    /// Keys that left because the ring was full.
    pub evictions: u64,
}

/// Whether a key found by [`Ring::get`] may be used without a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Use it; there is nothing to do.
    Fresh,
    /// Use it; a check is due, and this caller is the one to start it.
    Due,
    /// A check comes first.
    Overdue,
}

/// A key found by [`Ring::get`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Arc<Key>,
    /// When it was made, Unix seconds.
    pub created: i64,
    /// From when on it is no longer used to encrypt, Unix milliseconds.
    pub expires_at_ms: i64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether it may be used without a check.
    pub state: State,
    /// When it is to be checked again.
    pub fresh: Freshness,
}

/// The keys of one session factory: (id, created) to key, id to latest key, with expiry, revocation and freshness.
///
/// Any thread may use it. Hits of a session take the lock of their own id only; everything else takes the ring's lock
/// for a moment. An evicted key lives on for the calls that use it.
#[derive(Debug)]
pub struct Ring {
    gate: Gate,
    clock: Clock,
    tally: Tally,
    store: RwLock<Store>,
}

impl Ring {
    /// An empty ring on the system's clocks.
    #[must_use]
    pub fn new(options: &RingOptions) -> Arc<Ring> {
        Arc::new(Ring {
            gate: Gate::new(&options.suffix, &options.accepted_suffixes),
            clock: Clock::default(),
            tally: Tally::default(),
            store: RwLock::new(Store::new(options.capacity.max(1))),
        })
    }

    /// Puts a key in, or what it now is in the place of what it was. `Closed` after [`Ring::close`].
    pub fn put(&self, id: &str, created: i64, key: Arc<Key>, standing: &Standing) -> Result<(), Fault> {
        let mut store = self.write();
        if store.is_closed() {
            return Err(Fault::Closed);
        }
        store.put(id, created, key, standing)
    }

    /// What a check found for a key that is already in; false when it is not.
    pub fn refresh(&self, id: &str, created: i64, standing: &Standing) -> bool {
        self.read().cell(id).is_some_and(|cell| cell.write().refresh(created, standing))
    }

    /// Takes a key out, and the latest pointer with it if it points there; false when it was not in.
    pub fn evict(&self, id: &str, created: i64) -> bool {
        self.write().evict(id, created)
    }

    /// A check has failed: until `until_mono_ms` the key is used without asking for another. `None` is the question
    /// for the latest key, which is checked apart from the key itself.
    pub fn back_off(&self, id: &str, created: Option<i64>, until_mono_ms: u64) {
        if let Some(cell) = self.read().cell(id) {
            cell.write().back_off(created, until_mono_ms);
        }
    }

    /// A key for the control plane's own use; `None` for `created` is the latest. Expired and revoked keys are found
    /// too: what follows from that is the caller's policy. Only the questions of records are counted, so this is not.
    #[must_use]
    pub fn get(&self, id: &str, created: Option<i64>, now: Now) -> Option<Entry> {
        let store = self.read();
        let state = store.cell(id)?.read();
        let (generation, check) = match created {
            None => state.latest()?,
            Some(created) => state.generation(created).map(|generation| (generation, &generation.check))?,
        };
        generation.visit();
        Some(Entry {
            key: Arc::clone(&generation.key),
            created: generation.created,
            expires_at_ms: generation.expires_at_ms,
            revoked: generation.revoked,
            fresh: check.fresh(),
            state: match check.judge(now.mono_ms, false) {
                Verdict::Fresh | Verdict::Stale { due: false } => State::Fresh,
                Verdict::Stale { due: true } => State::Due,
                Verdict::Overdue => State::Overdue,
            },
        })
    }

    /// What it has done and holds.
    #[must_use]
    pub fn stats(&self) -> RingStats {
        let sums = self.tally.sums();
        let store = self.read();
        RingStats {
            keys: store.keys(),
            capacity: store.capacity(),
            hits: sums.hits,
            misses: sums.misses,
            stale: sums.stale,
            evictions: store.evictions(),
        }
    }

    /// Stands still at `now` until set again; `None` is the system's clocks.
    pub fn set_clock(&self, now: Option<Now>) {
        self.clock.set(now);
    }

    /// The moment that its clock shows.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// Drops every key now; calls that already have theirs finish, later ones are `Closed`.
    pub fn close(&self) {
        self.write().close();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.read().is_closed()
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Pins the cell of this id for a session, until [`Ring::unpin`].
    pub(crate) fn pin(&self, id: &str) -> Result<Arc<Cell>, Fault> {
        let store = self.read();
        if store.is_closed() {
            return Err(Fault::Closed);
        }
        if let Some(cell) = store.cell(id) {
            return Ok(Arc::clone(cell));
        }
        drop(store);
        let mut store = self.write();
        if store.is_closed() { Err(Fault::Closed) } else { Ok(store.ensure(id)) }
    }

    /// Gives a pinned cell back.
    pub(crate) fn unpin(&self, cell: Arc<Cell>) {
        self.write().forget_if_unused(cell);
    }

    /// The exact key of an id that the session has no cell of.
    pub(crate) fn exact(&self, id: &str, created: i64, now: Now, tolerant: bool) -> Answer {
        self.read().cell(id).map_or(Answer::Miss, |cell| cell.exact(created, now, tolerant))
    }

    /// Counts the answer to a record's question.
    pub(crate) fn count(&self, answer: &Answer) {
        match answer {
            Answer::Hit(hit) => self.tally.hit(hit.verdict != Verdict::Fresh),
            Answer::Miss | Answer::Overdue => self.tally.miss(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }
}
