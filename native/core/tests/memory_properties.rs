//! Properties of keys, with fewer hot slots than keys.

use std::collections::HashSet;

use asherah_core::Fault;
use asherah_core::memory::{Key, MAX_PAYLOAD, MemoryOptions, prepare, random, status};
use proptest::prelude::*;

fn ready() {
    prepare(&MemoryOptions { hot_slots: 4, require_locked: false }).expect("prepared");
}

fn generate() -> Key {
    ready();
    Key::generate().expect("generated")
}

fn export(key: &Key) -> [u8; 32] {
    let mut bytes = [0; 32];
    key.export(&mut bytes).expect("exported");
    bytes
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(any::<u8>(), 4080..4120),
        prop::collection::vec(any::<u8>(), 0..20_000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_record_comes_back(payload in payload()) {
        let key = generate();
        let mut data = vec![0; payload.len() + 28];
        let wrapped = key.seal_record(&payload, &mut data).expect("sealed");
        let mut out = vec![0x55; payload.len()];
        prop_assert_eq!(key.open_record(&wrapped, &data, &mut out), Ok(()));
        prop_assert_eq!(&out, &payload);
        // The record's own key opens it too: the two layers are what the format says.
        let drk = key.unwrap(&wrapped).expect("unwrapped");
        out.fill(0x55);
        prop_assert_eq!(drk.open(&data, &mut out), Ok(()));
        prop_assert_eq!(&out, &payload);
        // Nobody else's key does.
        let other = generate();
        prop_assert_eq!(other.open_record(&wrapped, &data, &mut out), Err(Fault::KeyAuthentication));
        prop_assert!(out.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn sealed_bytes_come_back(payload in payload()) {
        let key = generate();
        let mut sealed = vec![0; payload.len() + 28];
        prop_assert_eq!(key.seal(&payload, &mut sealed), Ok(()));
        let mut out = vec![0x55; payload.len()];
        prop_assert_eq!(key.open(&sealed, &mut out), Ok(()));
        prop_assert_eq!(&out, &payload);
    }

    #[test]
    fn a_wrapped_key_comes_back(bytes in any::<[u8; 32]>()) {
        let parent = generate();
        let mut copy = bytes;
        let child = Key::import(&mut copy).expect("imported");
        prop_assert_eq!(copy, [0; 32]);
        prop_assert_eq!(export(&child), bytes);
        let wrapped = parent.wrap(&child).expect("wrapped");
        prop_assert_eq!(export(&parent.unwrap(&wrapped).expect("unwrapped")), bytes);
        let mut opened = [0; 32];
        prop_assert_eq!(parent.open(&wrapped, &mut opened), Ok(()));
        prop_assert_eq!(opened, bytes);
        prop_assert!(matches!(generate().unwrap(&wrapped), Err(Fault::UnwrapAuthentication)));
    }

    #[test]
    fn any_bytes_are_a_fault(sealed in prop::collection::vec(any::<u8>(), 0..200)) {
        let key = generate();
        let mut out = vec![0x55; sealed.len().saturating_sub(28)];
        prop_assert_eq!(key.open(&sealed, &mut out), Err(Fault::UnwrapAuthentication));
        prop_assert!(out.iter().all(|byte| *byte == 0));
        let expected = if sealed.len() == 60 { Fault::UnwrapAuthentication } else { Fault::KeyLength };
        prop_assert_eq!(key.unwrap(&sealed).map(drop), Err(expected));
        let mut import = sealed.clone();
        let imported = Key::import(&mut import).map(drop);
        prop_assert_eq!(imported, if sealed.len() == 32 { Ok(()) } else { Err(Fault::KeyLength) });
        prop_assert!(import.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn each_flipped_bit_is_noticed_and_nothing_is_left_of_the_plaintext() {
    let key = generate();
    let payload = *b"a payload of some forty bytes, or so.";
    let mut data = [0; 65];
    let wrapped = key.seal_record(&payload, &mut data).expect("sealed");
    for bit in 0..60 * 8 {
        let mut forged = wrapped;
        forged[bit / 8] ^= 1 << (bit % 8);
        let mut out = [0x55; 37];
        assert_eq!(key.open_record(&forged, &data, &mut out), Err(Fault::KeyAuthentication), "bit {bit}");
        assert_eq!(out, [0; 37]);
        assert!(matches!(key.unwrap(&forged), Err(Fault::UnwrapAuthentication)), "bit {bit}");
    }
    for bit in 0..65 * 8 {
        let mut forged = data;
        forged[bit / 8] ^= 1 << (bit % 8);
        let mut out = [0x55; 37];
        assert_eq!(key.open_record(&wrapped, &forged, &mut out), Err(Fault::DataAuthentication), "bit {bit}");
        assert_eq!(out, [0; 37]);
    }
    for length in 0..65_usize {
        let mut out = vec![0x55; length.saturating_sub(28)];
        assert_eq!(key.open_record(&wrapped, &data[..length], &mut out), Err(Fault::DataAuthentication));
        assert!(length >= 60 || key.open_record(&wrapped[..length], &data, &mut [0; 37]).is_err());
    }
}

#[test]
fn lengths_that_do_not_fit_are_faults() {
    let key = generate();
    for length in [0, 27, 29, 40] {
        assert_eq!(key.seal(b"", &mut vec![0; length]), Err(Fault::Cipher));
        assert_eq!(key.seal_record(b"", &mut vec![0; length]), Err(Fault::Cipher));
    }
    let mut data = [0; 30];
    let wrapped = key.seal_record(b"ab", &mut data).expect("sealed");
    for length in [0, 1, 3] {
        let mut out = vec![0x55; length];
        assert_eq!(key.open_record(&wrapped, &data, &mut out), Err(Fault::Cipher));
        assert!(out.iter().all(|byte| *byte == 0));
    }
    for length in [0, 59, 61] {
        let forged = vec![0; length];
        assert_eq!(key.open_record(&forged, &data, &mut [0; 2]), Err(Fault::KeyAuthentication));
    }
}

#[test]
fn the_largest_payload_and_one_byte_more() {
    let key = generate();
    let payload = vec![7; MAX_PAYLOAD + 1];
    let mut data = vec![0; MAX_PAYLOAD + 29];
    assert_eq!(key.seal_record(&payload, &mut data), Err(Fault::TooLarge));
    assert_eq!(key.seal(&payload, &mut data), Err(Fault::TooLarge));
    let mut out = vec![0; MAX_PAYLOAD + 1];
    assert_eq!(key.open_record(&[0; 60], &data, &mut out), Err(Fault::TooLarge));
    assert_eq!(key.open(&data, &mut out), Err(Fault::TooLarge));
    let data = &mut data[..MAX_PAYLOAD + 28];
    let wrapped = key.seal_record(&payload[..MAX_PAYLOAD], data).expect("sealed");
    assert_eq!(key.open_record(&wrapped, data, &mut out[..MAX_PAYLOAD]), Ok(()));
    assert!(out[..MAX_PAYLOAD].iter().all(|byte| *byte == 7));
}

#[test]
fn nothing_random_comes_twice() {
    let key = generate();
    let mut seen = HashSet::new();
    for _ in 0..10_000 {
        let mut data = [0; 28];
        let wrapped = key.seal_record(b"", &mut data).expect("sealed");
        assert!(
            seen.insert(wrapped[48..].to_vec()) && seen.insert(data[16..].to_vec()),
            "a nonce came twice"
        );
    }
    // More than one reseeding, in pieces around the buffer's length.
    let mut bytes = vec![0; 3 << 20];
    for part in bytes.chunks_mut(1091) {
        random(part).expect("random");
    }
    let mut blocks = HashSet::new();
    assert!(bytes.chunks_exact(16).all(|block| blocks.insert(block)), "a block came twice");
    let ones: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
    let (bits, half) = (bytes.len() as f64 * 8.0, bytes.len() as f64 * 4.0);
    assert!((ones as f64 - half).abs() < 6.0 * bits.sqrt() / 2.0, "{ones} ones in {bits} bits");
}

#[test]
fn threads_with_more_keys_than_hot_slots() {
    ready();
    let keys: Vec<Key> = (0..24).map(|_| generate()).collect();
    let shared = &keys;
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            scope.spawn(move || {
                let own: Vec<Key> = (0..8).map(|_| generate()).collect();
                for round in 0..2000_usize {
                    let text = format!("thread {thread}, round {round}");
                    let mut data = vec![0; text.len() + 28];
                    let mut out = vec![0; text.len()];
                    // Every thread goes through the shared keys at another pace, and through its own.
                    for key in [&shared[round * (2 * thread + 1) % shared.len()], &own[round % own.len()]] {
                        let wrapped = key.seal_record(text.as_bytes(), &mut data).expect("sealed");
                        key.open_record(&wrapped, &data, &mut out).expect("opened");
                        assert_eq!(out, text.as_bytes());
                    }
                    if round % 16 == 0 {
                        let short_lived = generate();
                        let wrapped = shared[round % shared.len()].wrap(&short_lived).expect("wrapped");
                        let again = shared[round % shared.len()].unwrap(&wrapped).expect("unwrapped");
                        assert_eq!(export(&again), export(&short_lived));
                    }
                }
            });
        }
    });
    let status = status();
    assert!(status.hot_misses > 1000, "slots changed hands: {status:?}");
    assert_eq!(status.hot_slots, 4);
}

#[test]
fn one_key_on_many_threads_at_its_first_use() {
    for _ in 0..200 {
        let key = generate();
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let mut sealed = [0; 29];
                    key.seal(b"x", &mut sealed).expect("sealed");
                    let mut out = [0; 1];
                    assert_eq!((key.open(&sealed, &mut out), out), (Ok(()), *b"x"));
                });
            }
        });
    }
}
