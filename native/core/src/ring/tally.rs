//! Counts of a ring's answers.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Threads count apart, so that they do not pass one cache line around.
const STRIPES: usize = 8;

/// Counts of a ring's answers.
#[derive(Debug, Default)]
pub(super) struct Tally {
    stripes: [Stripe; STRIPES],
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
}

/// The sums of a [`Tally`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) stale: u64,
}

fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    MINE.with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        mine.get()
    })
}

impl Tally {
    pub(super) fn hit(&self, stale: bool) {
        let stripe = &self.stripes[stripe()];
        stripe.hits.fetch_add(1, Ordering::Relaxed);
        if stale {
            stripe.stale.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn miss(&self) {
        self.stripes[stripe()].misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sums(&self) -> Sums {
        self.stripes.iter().fold(Sums::default(), |sums, stripe| Sums {
            hits: sums.hits + stripe.hits.load(Ordering::Relaxed),
            misses: sums.misses + stripe.misses.load(Ordering::Relaxed),
            stale: sums.stale + stripe.stale.load(Ordering::Relaxed),
        })
    }
}
