//! What the tests of ring and session share.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

use std::sync::Arc;

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::{Freshness, Now, Outcome, Ring, RingOptions, Scratch, Session, Standing};
use memchr::memmem;

pub const CORE: &str = "_IK_tenant-42_api_catalog";
pub const CREATED: i64 = 1_795_315_800;
pub const FRESH: Outcome = Outcome::Done { due: false, stale: false };
pub const STALE: Outcome = Outcome::Done { due: false, stale: true };
pub const DUE: Outcome = Outcome::Done { due: true, stale: true };

/// The moment that most tests stand at: a check is due at 10,000 monotonic, overdue at 20,000; expiry at wall 50,000.
pub const START: Now = Now { wall_ms: 40_000, mono_ms: 1_000 };

pub fn at(wall_ms: i64, mono_ms: u64) -> Now {
    Now { wall_ms, mono_ms }
}

/// Of the process, so that a test has it whichever runs first.
pub fn ready() {
    prepare(&MemoryOptions { hot_slots: 64, require_locked: false }).expect("guarded memory");
}

pub fn key() -> Arc<Key> {
    ready();
    Arc::new(Key::generate().expect("a key"))
}

pub fn imported(hex: &str) -> Arc<Key> {
    ready();
    let digits: Vec<u32> = hex.chars().map(|digit| digit.to_digit(16).expect("hexadecimal")).collect();
    let mut bytes: Vec<u8> = digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    Arc::new(Key::import(&mut bytes).expect("32 bytes"))
}

pub fn standing() -> Standing {
    let fresh = Freshness { check_after_ms: 10_000, overdue_after_ms: 20_000 };
    Standing { expires_at_ms: 50_000, revoked: false, fresh, as_latest: true }
}

pub fn forever() -> Standing {
    let fresh = Freshness { check_after_ms: u64::MAX, overdue_after_ms: u64::MAX };
    Standing { expires_at_ms: i64::MAX, revoked: false, fresh, as_latest: true }
}

pub fn ring(capacity: usize) -> Arc<Ring> {
    Ring::new(&RingOptions { capacity, suffix: String::new(), accepted_suffixes: Vec::new() })
}

pub fn suffixed(suffix: &str) -> Arc<Ring> {
    Ring::new(&RingOptions {
        capacity: 100,
        suffix: suffix.to_owned(),
        accepted_suffixes: vec!["dc_2".to_owned()],
    })
}

/// A session with what its calls need.
pub struct Bench {
    pub session: Session,
    pub scratch: Scratch,
    pub out: Vec<u8>,
}

impl Bench {
    pub fn new(ring: &Arc<Ring>, core: &str) -> Bench {
        ready();
        Bench {
            session: Session::open(ring, core).expect("an open ring"),
            scratch: Scratch::new(),
            out: Vec::new(),
        }
    }

    pub fn encrypt(&mut self, now: Now, tolerant: bool) -> Outcome {
        self.session.encrypt(b"payload", now, tolerant, &mut self.scratch, &mut self.out)
    }

    /// Encrypts with whatever key the ring has, for use as a record.
    pub fn record(&mut self, payload: &[u8], now: Now) -> String {
        let outcome = self.session.encrypt(payload, now, true, &mut self.scratch, &mut self.out);
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
        String::from_utf8(self.out.clone()).expect("UTF-8")
    }

    pub fn decrypt(&mut self, record: &str, now: Now, tolerant: bool) -> (Outcome, Vec<u8>) {
        let mut sink = Plain::default();
        let outcome = self.session.decrypt(record.as_bytes(), now, tolerant, &mut self.scratch, &mut sink);
        (outcome, sink.0)
    }

    /// The same in memory that may be spoilt, which holds no plaintext afterwards.
    pub fn decrypt_spoiling(&mut self, record: &str, now: Now, tolerant: bool) -> (Outcome, Vec<u8>) {
        let mut sink = Plain::default();
        let mut text = record.as_bytes().to_vec();
        let scratch = &mut self.scratch;
        let outcome = self.session.decrypt_spoiling(&mut text, now, tolerant, scratch, &mut sink);
        assert!(sink.0.first_chunk::<16>().is_none_or(|front| memmem::find(&text, front).is_none()));
        (outcome, sink.0)
    }

    /// The outcome alone.
    pub fn judged(&mut self, record: &str, now: Now, tolerant: bool) -> Outcome {
        self.decrypt(record, now, tolerant).0
    }
}

/// Takes any length, and shows what was left in it.
#[derive(Default)]
pub struct Plain(pub Vec<u8>);

impl asherah_core::PlaintextSink for Plain {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0 = vec![0xaa; len];
        Some(&mut self.0)
    }
}
