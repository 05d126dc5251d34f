//! How long ago the control plane last looked at a key, and what follows from it.

use std::sync::atomic::{AtomicU64, Ordering};

/// How long a caller who was told that a check is due has to make it before another one is told.
const CLAIM_MS: u64 = 10_000;

/// From when on a key is to be checked. The control plane computes both, so that check intervals are its policy alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Monotonic milliseconds from when on a check is due; the key is used meanwhile.
    pub check_after_ms: u64,
    /// Monotonic milliseconds from when on a call waits for the check.
    pub overdue_after_ms: u64,
}

/// What freshness says about using a key now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Checked recently.
    Fresh,
    /// To be used, though a check is outstanding; `due` for the one caller who is to ask for it.
    Stale { due: bool },
    /// Not to be used before a check.
    Overdue,
}

/// The freshness of one question: "the latest key" or "this key".
#[derive(Debug)]
pub(super) struct Check {
    fresh: Freshness,
    back_off_until_ms: u64,
    /// While readers share the rest, one of them wins this.
    claimed_until_ms: AtomicU64,
}

impl Check {
    /// Nobody has claimed a check, and no check has failed.
    pub(super) fn new(fresh: Freshness) -> Check {
        Check { fresh, back_off_until_ms: 0, claimed_until_ms: AtomicU64::new(0) }
    }

    /// When the next check is due, and overdue.
    pub(super) fn fresh(&self) -> Freshness {
        self.fresh
    }

    /// A check has failed: until `until_ms` nobody is asked to make another.
    pub(super) fn back_off(&mut self, until_ms: u64) {
        self.back_off_until_ms = until_ms;
    }

    /// What holds at `mono_ms`; a `tolerant` call would rather use an overdue key than wait.
    pub(super) fn judge(&self, mono_ms: u64, tolerant: bool) -> Verdict {
        if mono_ms < self.fresh.check_after_ms {
            return Verdict::Fresh;
        }
        if mono_ms < self.back_off_until_ms {
            return Verdict::Stale { due: false };
        }
        if mono_ms < self.fresh.overdue_after_ms || tolerant {
            return Verdict::Stale { due: self.claim(mono_ms) };
        }
        Verdict::Overdue
    }

    /// Whether this caller is the one who is to ask for the check.
    fn claim(&self, mono_ms: u64) -> bool {
        let claimed_until = self.claimed_until_ms.load(Ordering::Relaxed);
        let lapses = mono_ms.saturating_add(CLAIM_MS);
        mono_ms >= claimed_until
            && self
                .claimed_until_ms
                .compare_exchange(claimed_until, lapses, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}
