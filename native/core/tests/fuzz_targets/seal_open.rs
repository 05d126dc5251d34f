//! Any bytes as a record, a wrapped key and a payload: what was sealed comes back whole, or nothing does.

use std::sync::{Arc, LazyLock};

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::record::{Buffer, DataRowRecord, SEAL_OVERHEAD, WRAPPED_KEY, read};
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
    refuse_as_fields(session, bytes);
    let [place, flip, payload @ ..] = bytes else { return };
    come_back(session, payload);
    come_back_as_fields(session, payload, usize::from(*place), *flip);
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

/// No bytes are a wrapped key and data that open, and a length that no record has is no record.
fn refuse_as_fields(session: &Session, bytes: &[u8]) {
    let (wrapped, data) = bytes.split_at_checked(WRAPPED_KEY).unwrap_or((bytes, &[]));
    let expected = if data.len() < SEAL_OVERHEAD { Fault::RecordMalformed } else { Fault::KeyAuthentication };
    let record = DataRowRecord::of_fields(CREATED, wrapped, CORE, CREATED, data);
    assert_eq!(open_fields(session, record), Err(Outcome::Fault(expected)));
}

/// Sealed as fields it is the payload again, unless a byte of them was altered.
fn come_back_as_fields(session: &Session, payload: &[u8], place: usize, flip: u8) {
    let (mut wrapped, mut data) = (Vec::new(), Vec::new());
    let outcome = session.encrypt_fields(payload, NOW, false, &mut Scratch::new(), |envelope, sealed| {
        assert_eq!((envelope.created, envelope.key_created), (CREATED, CREATED));
        (wrapped, data) = (envelope.wrapped.to_vec(), sealed.to_vec());
    });
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    let at = place * 7 % (WRAPPED_KEY + data.len());
    let (part, at, fault) = match at.checked_sub(WRAPPED_KEY) {
        None => (&mut wrapped, at, Fault::KeyAuthentication),
        Some(at) => (&mut data, at, Fault::DataAuthentication),
    };
    part[at] ^= flip;
    let expected = if flip == 0 { Ok(payload.to_vec()) } else { Err(Outcome::Fault(fault)) };
    let record = DataRowRecord::of_fields(CREATED, &wrapped, CORE, CREATED, &data);
    assert_eq!(open_fields(session, record), expected);
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

/// The plaintext, or the outcome without one, which is the same by each way that a record can come.
fn open(session: &Session, record: &[u8]) -> Result<Vec<u8>, Outcome> {
    let opened = placed(|place| session.decrypt(record, NOW, false, &mut Scratch::new(), place));
    let mut spoilt = record.to_vec();
    let elsewhere =
        placed(|place| session.decrypt_spoiling(&mut spoilt, NOW, false, &mut Scratch::new(), place));
    assert_eq!(opened, elsewhere);
    let mut buffer = Buffer::new();
    if let Ok(fields) = read(record, &mut buffer) {
        let (created, key_created) = (fields.created.unwrap_or(0), fields.key_created);
        let record =
            DataRowRecord::of_fields(created, &fields.wrapped, &fields.key_id, key_created, fields.data);
        assert_eq!(open_fields(session, record), opened);
    }
    opened
}

fn open_fields(session: &Session, record: Result<DataRowRecord<'_, '_>, Fault>) -> Result<Vec<u8>, Outcome> {
    let record = record.map_err(Outcome::Fault)?;
    placed(|place| session.decrypt_fields(record, NOW, false, &mut Scratch::new(), place))
}

/// What was decrypted; without a result, nothing but zeroes may be left in its place.
fn placed(decrypt: impl FnOnce(&mut Place) -> Outcome) -> Result<Vec<u8>, Outcome> {
    let mut place = Place(Vec::new());
    match decrypt(&mut place) {
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
