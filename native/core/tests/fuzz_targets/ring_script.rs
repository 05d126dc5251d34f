//! Any bytes as a program of ring and session calls, held against a plain map of what was put in.
//!
//! The first byte says what ring; then each operation is one byte, and each of its operands one more.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::{
    Fault, Freshness, Now, Outcome, PlaintextSink, Ring, RingOptions, Scratch, Session, Standing,
};

/// Own ids, ids that begin alike, and one that another partition's session with a suffix would name.
const CORES: [&str; 4] =
    ["_IK_a_svc_prod", "_IK_a_svc_prod2", "_IK_b_svc_prod", "_IK_a_svc_prod_eu_svc_prod"];
const SUFFIX: &str = "eu-west-1";
const KEYS: usize = 6;
const MOST_OPERATIONS: usize = 400;
/// Ids times generations never fill a ring of this size, so that its model is exact.
const ROOMY: usize = 64;

static KEY: LazyLock<Vec<Arc<Key>>> = LazyLock::new(|| {
    prepare(&MemoryOptions { hot_slots: 4, require_locked: false }).expect("guarded memory");
    (0..KEYS).map(|_| Arc::new(Key::generate().expect("a key"))).collect()
});

/// One input.
pub fn run(script: &[u8]) {
    let [ring, script @ ..] = script else { return };
    let capacity = if ring % 8 == 0 { ROOMY } else { usize::from(ring % 8) };
    let mut world = World::new(capacity, if ring & 0x80 == 0 { "" } else { SUFFIX });
    let mut operands = script.iter().copied();
    for _ in 0..MOST_OPERATIONS {
        let Some(operation) = operands.next() else { break };
        world.step(operation, &mut || operands.next().unwrap_or(0));
    }
    world.end();
}

#[derive(Clone, Copy)]
struct Put {
    key: usize,
    revoked: bool,
    expires_at_ms: i64,
}

struct Sealed {
    record: Vec<u8>,
    text: Vec<u8>,
    id: String,
    created: i64,
    key: usize,
}

struct World {
    ring: Arc<Ring>,
    capacity: usize,
    sessions: Vec<(Session, String)>,
    records: Vec<Sealed>,
    /// What was put in and not taken out. A small ring may hold less.
    keys: HashMap<(String, i64), Put>,
    latest: HashMap<String, i64>,
    now: Now,
    closed: bool,
    scratch: Scratch,
    out: Vec<u8>,
}

impl World {
    fn new(capacity: usize, suffix: &str) -> World {
        let options =
            RingOptions { capacity, suffix: suffix.to_owned(), accepted_suffixes: vec!["us".to_owned()] };
        World {
            ring: Ring::new(&options),
            capacity,
            sessions: Vec::new(),
            records: Vec::new(),
            keys: HashMap::new(),
            latest: HashMap::new(),
            now: Now { wall_ms: 100_000, mono_ms: 1_000 },
            closed: false,
            scratch: Scratch::new(),
            out: Vec::new(),
        }
    }

    fn step(&mut self, operation: u8, operand: &mut impl FnMut() -> u8) {
        match operation % 11 {
            0 | 1 => self.put(operand),
            2 => self.refresh(operand),
            3 => self.evict(operand),
            4 => {
                let (id, created) = place(operand);
                let until = self.now.mono_ms + u64::from(operand()) * 100;
                self.ring.back_off(&id, (created != 3).then_some(created), until);
            }
            5 | 6 => self.encrypt(operand),
            7 | 8 => self.decrypt(operand),
            9 => {
                let by = operand();
                self.now.mono_ms += u64::from(by) * 97;
                // The wall clock may be set back.
                self.now.wall_ms += (i64::from(by) - 64) * 97;
            }
            _ => self.rarer(operand),
        }
        assert!(self.ring.stats().keys <= self.capacity);
    }

    fn rarer(&mut self, operand: &mut impl FnMut() -> u8) {
        match operand() % 8 {
            0 => {
                self.ring.close();
                self.closed = true;
                self.keys.clear();
                self.latest.clear();
            }
            1 | 2 => self.get(operand),
            3 if !self.sessions.is_empty() => {
                let at = usize::from(operand()) % self.sessions.len();
                self.sessions.swap_remove(at);
            }
            _ => {
                let core = CORES[usize::from(operand()) % CORES.len()];
                match Session::open(&self.ring, core) {
                    Ok(session) => self.sessions.push((session, core.to_owned())),
                    Err(fault) => assert!(self.closed && fault == Fault::Closed, "{fault:?}"),
                }
            }
        }
    }

    fn put(&mut self, operand: &mut impl FnMut() -> u8) {
        let (id, created) = place(operand);
        let (standing, key) = (self.standing(operand()), usize::from(operand()) % KEYS);
        let answer = self.ring.put(&id, created, Arc::clone(&KEY[key]), &standing);
        if self.closed {
            assert_eq!(answer, Err(Fault::Closed));
            return;
        }
        answer.expect("room");
        let Standing { revoked, expires_at_ms, as_latest, .. } = standing;
        self.keys.insert((id.clone(), created), Put { key, revoked, expires_at_ms });
        if as_latest {
            self.latest.insert(id, created);
        }
    }

    fn refresh(&mut self, operand: &mut impl FnMut() -> u8) {
        let (id, created) = place(operand);
        let standing = self.standing(operand());
        let known = self.keys.get_mut(&(id.clone(), created));
        if self.ring.refresh(&id, created, &standing) {
            let put = known.expect("it was put in");
            put.revoked = standing.revoked;
            put.expires_at_ms = standing.expires_at_ms;
            if standing.as_latest {
                self.latest.insert(id, created);
            }
        } else {
            assert!(known.is_none() || self.capacity < ROOMY);
        }
    }

    fn evict(&mut self, operand: &mut impl FnMut() -> u8) {
        let (id, created) = place(operand);
        let was_in = self.ring.evict(&id, created);
        let known = self.keys.remove(&(id.clone(), created)).is_some();
        assert!(known || !was_in);
        assert!(was_in || !known || self.capacity < ROOMY);
        if self.latest.get(&id) == Some(&created) {
            self.latest.remove(&id);
        }
    }

    fn get(&mut self, operand: &mut impl FnMut() -> u8) {
        let (id, created) = place(operand);
        let asked = (created != 3).then_some(created);
        let expected = asked.or_else(|| self.latest.get(&id).copied());
        let known = expected.and_then(|created| self.keys.get(&(id.clone(), created)));
        match (self.ring.get(&id, asked, self.now), known) {
            (Some(entry), Some(put)) => {
                assert!(Arc::ptr_eq(&entry.key, &KEY[put.key]));
                assert_eq!(Some(entry.created), expected);
                assert_eq!((entry.revoked, entry.expires_at_ms), (put.revoked, put.expires_at_ms));
            }
            (None, None) => {}
            (None, Some(_)) => assert!(self.capacity < ROOMY),
            (Some(entry), None) => panic!("found what was never put in: {entry:?}"),
        }
    }

    fn encrypt(&mut self, operand: &mut impl FnMut() -> u8) {
        let (chosen, tolerant) = (usize::from(operand()), operand() % 2 == 1);
        let Some((session, _)) = pick(&self.sessions, chosen) else { return };
        let text = vec![operand(); chosen];
        let id = session.key_id().to_owned();
        let outcome = session.encrypt(&text, self.now, tolerant, &mut self.scratch, &mut self.out);
        let usable = self.latest.get(&id).and_then(|&created| {
            let put = *self.keys.get(&(id.clone(), created))?;
            (!put.revoked && self.now.wall_ms < put.expires_at_ms).then_some((created, put.key))
        });
        match (outcome, usable) {
            (Outcome::Done { .. }, Some((created, key))) => {
                let record = self.out.clone();
                self.records.push(Sealed { record, text, id, created, key });
            }
            (Outcome::Fault(Fault::Closed), _) => assert!(self.closed),
            (Outcome::Miss, usable) => assert!(usable.is_none() || self.capacity < ROOMY),
            (Outcome::Overdue, Some(_)) => assert!(!tolerant),
            (outcome, usable) => panic!("{outcome:?} with {usable:?}"),
        }
        assert!(matches!(outcome, Outcome::Done { .. }) || self.out.is_empty());
    }

    fn decrypt(&mut self, operand: &mut impl FnMut() -> u8) {
        let (chosen, tolerant) = (usize::from(operand()), operand() % 2 == 1);
        let Some((session, core)) = pick(&self.sessions, chosen) else { return };
        let Some(sealed) = pick(&self.records, usize::from(operand())) else { return };
        let mut sink = Place::default();
        let Sealed { record, text, id, created, key } = sealed;
        let outcome = session.decrypt(record, self.now, tolerant, &mut self.scratch, &mut sink);
        // All ids of these cores are the core itself or the core with the one suffix.
        let own = id == core || *id == format!("{core}_{SUFFIX}");
        let known = self.keys.get(&(id.clone(), *created));
        match outcome {
            Outcome::Fault(Fault::RecordForeign) => assert!(!own, "{core} may read {id}"),
            _ if !own => panic!("{core} was answered {outcome:?} for {id}"),
            Outcome::Done { .. } => {
                assert_eq!(known.map(|put| put.key), Some(*key));
                assert_eq!(&sink.0, text);
            }
            Outcome::Fault(Fault::KeyAuthentication) => {
                assert!(known.is_some_and(|put| put.key != *key), "the right key did not open it");
            }
            Outcome::Fault(Fault::Closed) => assert!(self.closed),
            Outcome::Miss => assert!(known.is_none() || self.capacity < ROOMY),
            Outcome::Overdue => assert!(known.is_some() && !tolerant),
            Outcome::Fault(fault) => panic!("{fault:?}"),
        }
        if matches!(outcome, Outcome::Miss | Outcome::Overdue) {
            let question = self.scratch.question();
            assert_eq!((&question.key_id, question.created), (id, *created));
        }
    }

    fn standing(&self, bits: u8) -> Standing {
        let check_after_ms = self.now.mono_ms + u64::from(bits & 7) * 1_000;
        Standing {
            expires_at_ms: self.now.wall_ms + i64::from(bits >> 3 & 7) * 2_000 - 1_000,
            revoked: bits & 0x40 != 0,
            fresh: Freshness { check_after_ms, overdue_after_ms: check_after_ms + 5_000 },
            as_latest: bits & 0x80 == 0,
        }
    }

    /// Sessions and keys may go in any order.
    fn end(self) {
        let World { ring, sessions, .. } = self;
        ring.close();
        drop(ring);
        drop(sessions);
    }
}

/// An id and one of four generations of it; for the calls that can ask for the latest, 3 is that.
fn place(operand: &mut impl FnMut() -> u8) -> (String, i64) {
    let bits = operand();
    let core = CORES[usize::from(bits) % CORES.len()];
    let id = if bits & 0x10 == 0 { core.to_owned() } else { format!("{core}_{SUFFIX}") };
    (id, i64::from(bits >> 2 & 3))
}

fn pick<T>(from: &[T], chosen: usize) -> Option<&T> {
    from.get(chosen.checked_rem(from.len())?)
}

#[derive(Default)]
struct Place(Vec<u8>);

impl PlaintextSink for Place {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0 = vec![0x55; len];
        Some(&mut self.0)
    }
}
