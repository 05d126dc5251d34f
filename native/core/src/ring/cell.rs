//! One key id and its generations.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::freshness::{Check, Freshness, Verdict};
use crate::clock::Now;
use crate::memory::Key;
use crate::record::escape;

/// One key id and its generations in the ring. A session keeps its own cell, so that a hit costs no look-up by id and
/// no lock of the whole ring.
#[derive(Debug)]
pub(crate) struct Cell {
    id: Box<str>,
    /// The id as it stands in a record, when that is not the id itself.
    escaped: Option<Box<str>>,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Rarely more than two or three.
    pub(super) generations: Vec<Generation>,
    pub(super) latest: Option<Latest>,
}

/// What the control plane says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Wall clock, Unix milliseconds; from then on it is no longer used to encrypt.
    pub expires_at_ms: i64,
    /// A revoked key is no longer used to encrypt either.
    pub revoked: bool,
    /// When it is to be checked again.
    pub fresh: Freshness,
    /// Whether it is the latest of its id.
    pub as_latest: bool,
}

/// One key.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) created: i64,
    pub(super) key: Arc<Key>,
    pub(super) expires_at_ms: i64,
    pub(super) revoked: bool,
    pub(super) check: Check,
    /// Its place in the order of eviction.
    pub(super) node: u32,
    /// Used since the eviction's hand last passed.
    visited: AtomicBool,
}

/// Which generation is the latest, with the freshness of that question.
#[derive(Debug)]
pub(super) struct Latest {
    created: i64,
    check: Check,
}

/// A key to use, and what freshness says of it: never `Overdue`.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) key: Arc<Key>,
    pub(crate) created: i64,
    pub(crate) verdict: Verdict,
}

/// The answer of a cell.
#[derive(Debug)]
pub(crate) enum Answer {
    Hit(Hit),
    Miss,
    Overdue,
}

impl Cell {
    pub(super) fn new(id: &str) -> Cell {
        let escaped = escape(id);
        let escaped = (*escaped != *id).then(|| escaped.into());
        Cell { id: id.into(), escaped, state: RwLock::default() }
    }

    /// The key id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The key id as it stands in a record.
    pub(crate) fn escaped_id(&self) -> &str {
        self.escaped.as_deref().unwrap_or(&self.id)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest key, if it may encrypt.
    pub(crate) fn latest(&self, now: Now, tolerant: bool) -> Answer {
        let state = self.read();
        let usable = state
            .latest()
            .filter(|(generation, _)| !generation.revoked && now.wall_ms < generation.expires_at_ms);
        match usable {
            Some((generation, check)) => generation.answer(check, now, tolerant),
            None => Answer::Miss,
        }
    }

    /// The key made at `created`; one that expired or was revoked decrypts still.
    pub(crate) fn exact(&self, created: i64, now: Now, tolerant: bool) -> Answer {
        let state = self.read();
        match state.generation(created) {
            Some(generation) => generation.answer(&generation.check, now, tolerant),
            None => Answer::Miss,
        }
    }
}

impl State {
    pub(super) fn generation(&self, created: i64) -> Option<&Generation> {
        self.generations.iter().find(|generation| generation.created == created)
    }

    pub(super) fn latest(&self) -> Option<(&Generation, &Check)> {
        let latest = self.latest.as_ref()?;
        self.generation(latest.created).map(|generation| (generation, &latest.check))
    }

    /// Takes over what the control plane found; false when the generation is not in.
    pub(super) fn refresh(&mut self, created: i64, standing: &Standing) -> bool {
        let Some(generation) = self.generations.iter_mut().find(|generation| generation.created == created)
        else {
            return false;
        };
        generation.expires_at_ms = standing.expires_at_ms;
        generation.revoked = standing.revoked;
        generation.check = Check::new(standing.fresh);
        if standing.as_latest {
            self.latest = Some(Latest { created, check: Check::new(standing.fresh) });
        }
        true
    }

    pub(super) fn back_off(&mut self, created: Option<i64>, until_ms: u64) {
        let check = match created {
            None => self.latest.as_mut().map(|latest| &mut latest.check),
            Some(created) => {
                let generation = self.generations.iter_mut().find(|generation| generation.created == created);
                generation.map(|generation| &mut generation.check)
            }
        };
        if let Some(check) = check {
            check.back_off(until_ms);
        }
    }

    /// Takes a generation out; the latest pointer goes with it if it points there.
    pub(super) fn remove(&mut self, created: i64) -> Option<Generation> {
        let at = self.generations.iter().position(|generation| generation.created == created)?;
        if self.latest.as_ref().is_some_and(|latest| latest.created == created) {
            self.latest = None;
        }
        let removed = self.generations.swap_remove(at);
        self.generations.shrink_to_fit();
        Some(removed)
    }
}

impl Generation {
    pub(super) fn new(created: i64, key: Arc<Key>, standing: &Standing, node: u32) -> Generation {
        Generation {
            created,
            key,
            expires_at_ms: standing.expires_at_ms,
            revoked: standing.revoked,
            check: Check::new(standing.fresh),
            node,
            visited: AtomicBool::new(false),
        }
    }

    fn answer(&self, check: &Check, now: Now, tolerant: bool) -> Answer {
        let verdict = check.judge(now.mono_ms, tolerant);
        self.visit();
        match verdict {
            Verdict::Overdue => Answer::Overdue,
            verdict => Answer::Hit(Hit { key: Arc::clone(&self.key), created: self.created, verdict }),
        }
    }

    pub(super) fn visit(&self) {
        // Written only when it changes: the line is shared between threads.
        if !self.visited.load(Ordering::Relaxed) {
            self.visited.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub(super) fn take_visit(&self) -> bool {
        self.visited.swap(false, Ordering::Relaxed)
    }
}

/// A cell as the ring's map holds it: found by its id.
#[derive(Clone, Debug)]
pub(super) struct CellById(pub(super) Arc<Cell>);

impl std::borrow::Borrow<str> for CellById {
    fn borrow(&self) -> &str {
        self.0.id()
    }
}

impl Hash for CellById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl PartialEq for CellById {
    fn eq(&self, other: &CellById) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for CellById {}
