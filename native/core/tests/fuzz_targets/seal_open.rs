//! Any bytes as a record, a wrapped key and a payload: what was sealed comes back whole, or nothing does.

use std::sync::{Arc, LazyLock};

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::record::{SEAL_OVERHEAD, WRAPPED_KEY};
use asherah_core::{
    Fault, Freshness, Now, Outcome, PlaintextSink, Ring, RingOptions, Scratch, Session, Standing,
};

const CORE: &str = "_IK_tenant-42_api_catalog";
const CREATED: i64 = 1_795_315_800;
const NOW: Now = Now { wall_ms: CREATED * 1000, mono_ms: 1 };
/// What the corpus's records hold, sealed under [`KEY`] by another implementation of the format.
const SEALED: [&[u8]; 2] = [b"", b"sealed by somebody else"];
const KEY: [u8; 32] = [0x5a; 32];

static PARTITION: LazyLock<(Arc<Key>, Session)> = LazyLock::new(|| {
    prepare(&MemoryOptions { hot_slots: 64, require_locked: false }).expect("guarded memory");
    let key = Arc::new(Key::import(&mut KEY.clone()).expect("a key"));
    let options = RingOptions { capacity: 4, suffix: String::new(), accepted_suffixes: Vec::new() };
    let ring = Ring::new(&options);
    let fresh = Freshness { check_after_ms: u64::MAX, overdue_after_ms: u64::MAX };
    let standing = Standing { expires_at_ms: i64::MAX, revoked: false, fresh, as_latest: true };
    ring.put(CORE, CREATED, Arc::clone(&key), &standing).expect("an open ring");
    (key, Session::open(&ring, CORE).expect("an open ring"))
});

/// One input.
pub fn run(bytes: &[u8]) {
    let (key, session) = &*PARTITION;
    if let Ok(plaintext) = open(session, bytes) {
        assert!(SEALED.contains(&&plaintext[..]), "something that was never sealed was opened");
    }
    refuse_as_sealed(key, bytes);
    let [place, flip, payload @ ..] = bytes else { return };
    come_back(session, payload);
    refuse_altered(key, session, payload, usize::from(*place), (*flip).max(1));
}

/// Nothing that was not sealed under a key opens under it, and nothing is left of the attempt.
fn refuse_as_sealed(key: &Key, bytes: &[u8]) {
    let refused = key.unwrap(bytes).err();
    let expected = if bytes.len() == WRAPPED_KEY { Fault::UnwrapAuthentication } else { Fault::KeyLength };
    assert_eq!(refused, Some(expected));
    let mut out = vec![0x55; bytes.len().saturating_sub(SEAL_OVERHEAD)];
    assert_eq!(key.open(bytes, &mut out), Err(Fault::UnwrapAuthentication));
    assert!(out.iter().all(|&byte| byte == 0));
    if let Some((wrapped, data)) = bytes.split_at_checked(WRAPPED_KEY) {
        let mut out = vec![0x55; data.len().saturating_sub(SEAL_OVERHEAD)];
        let refused = key.open_record(wrapped, data, &mut out).expect_err("never sealed");
        assert!(matches!(refused, Fault::KeyAuthentication | Fault::DataAuthentication), "{refused:?}");
        assert!(out.iter().all(|&byte| byte == 0));
    }
}

fn come_back(session: &Session, payload: &[u8]) {
    let record = sealed(session, payload);
    assert_eq!(open(session, &record).as_deref(), Ok(payload));
    let len = payload.len();
    let (mut exact, mut short) = (vec![0x55; len], vec![0x55; len.saturating_sub(1)]);
    let mut scratch = Scratch::new();
    assert!(matches!(
        session.decrypt(&record, NOW, false, &mut scratch, &mut exact[..]),
        Outcome::Done { .. }
    ));
    assert_eq!(exact, payload);
    if len > 0 {
        let outcome = session.decrypt(&record, NOW, false, &mut scratch, &mut short[..]);
        assert_eq!(outcome, Outcome::Fault(Fault::TooLarge));
    }
}

/// A record of which one byte was altered, somewhere, gives what was sealed or an error.
fn refuse_altered(key: &Key, session: &Session, payload: &[u8], place: usize, flip: u8) {
    let mut record = sealed(session, payload);
    let at = place * 7 % record.len();
    record[at] ^= flip;
    if let Ok(plaintext) = open(session, &record) {
        assert_eq!(plaintext, payload);
    }
    let mut data = vec![0; payload.len() + SEAL_OVERHEAD];
    let mut wrapped = key.seal_record(payload, &mut data).expect("sealed");
    let mut out = vec![0x55; payload.len()];
    let at = place * 7 % data.len();
    data[at] ^= flip;
    assert_eq!(key.open_record(&wrapped, &data, &mut out), Err(Fault::DataAuthentication));
    assert!(out.iter().all(|&byte| byte == 0));
    data[at] ^= flip;
    wrapped[place % WRAPPED_KEY] ^= flip;
    assert_eq!(key.open_record(&wrapped, &data, &mut out), Err(Fault::KeyAuthentication));
    assert!(out.iter().all(|&byte| byte == 0));
}

fn sealed(session: &Session, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let outcome = session.encrypt(payload, NOW, false, &mut Scratch::new(), &mut out);
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    out
}

/// The plaintext, or the outcome without one; then nothing but zeroes may be left in its place.
fn open(session: &Session, record: &[u8]) -> Result<Vec<u8>, Outcome> {
    let mut place = Place(Vec::new());
    match session.decrypt(record, NOW, false, &mut Scratch::new(), &mut place) {
        Outcome::Done { .. } => Ok(place.0),
        outcome => {
            assert!(place.0.iter().all(|&byte| byte == 0), "{outcome:?}");
            Err(outcome)
        }
    }
}

struct Place(Vec<u8>);

impl PlaintextSink for Place {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0 = vec![0x55; len];
        Some(&mut self.0)
    }
}
