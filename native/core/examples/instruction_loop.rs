//! One operation of the data plane so many times, for whoever counts its instructions: `benchmarks/instructions.ts`.
//!
//! `instruction_loop OPERATION COUNT`, or `instruction_loop features`: what the processor offers, since that decides which
//! code runs.

use std::hint::black_box;
use std::sync::Arc;

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::{Freshness, Now, Outcome, Ring, RingOptions, Scratch, Session, Standing};

const ID: &str = "_IK_tenant-42_api_catalog";
const CREATED: i64 = 1_795_315_800;
const DONE: Outcome = Outcome::Done { due: false, stale: false };
/// Always the same, so that no number in a record changes its length.
const NOW: Now = Now { wall_ms: 1_795_315_860_000, mono_ms: 1_000 };

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments.next().unwrap_or_default();
    if operation == "features" {
        println!("{}", features());
        return;
    }
    let count: u32 = arguments.next().and_then(|count| count.parse().ok()).expect("a count");
    prepare(&MemoryOptions { hot_slots: 64, require_locked: false }).expect("guarded memory");
    let options = RingOptions { capacity: 64, suffix: String::new(), accepted_suffixes: Vec::new() };
    let ring = Ring::new(&options);
    let fresh = Freshness { check_after_ms: u64::MAX, overdue_after_ms: u64::MAX };
    let standing = Standing { expires_at_ms: i64::MAX, revoked: false, fresh, as_latest: true };
    ring.put(ID, CREATED, Arc::new(Key::generate().expect("a key")), &standing).expect("an open ring");
    let session = Session::open(&ring, ID).expect("a session");
    let mut scratch = Scratch::new();
    let mut out = Vec::new();
    let (name, size) = operation.split_once(' ').unwrap_or((&operation, "0"));
    let size = size.parse().expect("a number of bytes");
    let payload = vec![0x5a; size];
    assert_eq!(session.encrypt(&payload, NOW, false, &mut scratch, &mut out), DONE);
    let record = out.clone();
    let mut plain = vec![0; size];
    for _ in 0..count {
        match name {
            "encrypt" => {
                let outcome = session.encrypt(black_box(&payload), NOW, false, &mut scratch, &mut out);
                assert_eq!(outcome, DONE);
            }
            "decrypt" => {
                let outcome = session.decrypt(black_box(&record), NOW, false, &mut scratch, &mut plain[..]);
                assert_eq!(outcome, DONE);
            }
            "look-up" => drop(black_box(ring.get(black_box(ID), None, NOW)).expect("in the ring")),
            "make-key" => drop(black_box(Key::generate()).expect("a key")),
            _ => panic!("there is no operation {name}"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn features() -> String {
    let known = [
        ("aes", std::is_x86_feature_detected!("aes")),
        ("pclmulqdq", std::is_x86_feature_detected!("pclmulqdq")),
        ("sha", std::is_x86_feature_detected!("sha")),
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("vaes", std::is_x86_feature_detected!("vaes")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vbmi", std::is_x86_feature_detected!("avx512vbmi")),
    ];
    let names: Vec<&str> = known.iter().filter(|(_, is_here)| *is_here).map(|(name, _)| *name).collect();
    format!("x86_64 {}", names.join(" "))
}

#[cfg(not(target_arch = "x86_64"))]
fn features() -> String {
    std::env::consts::ARCH.to_owned()
}
