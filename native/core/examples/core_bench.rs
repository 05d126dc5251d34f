//! The data plane's own loop: what a record costs in Rust, with gate, ring, clock and record JSON, and nothing else.
//!
//! `cargo run --release --example core_bench [-- --json] [-- --quick]`: nanoseconds for each operation, the median of
//! several rounds; with `--json` one line of JSON, `{"encrypt":{"64":…},"decrypt":{…},"fresh":{"encrypt":{…},"decrypt":{…}},
//! "partitions":{…}}`. `fresh` is what a caller pays who keeps the results for a while: each large one in memory of its own,
//! among as many earlier ones as Node's engine lets pile up, and each plaintext zeroed when it is let go.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asherah_core::memory::{Key, MemoryOptions, prepare};
use asherah_core::{Freshness, Outcome, Ring, RingOptions, Scratch, Session, Standing};

const SIZES: [usize; 5] = [64, 1 << 10, 8 << 10, 1 << 20, 32 << 20];
const LARGE: usize = 1 << 20;
const PARTITIONS: usize = 2_048;
const DONE: Outcome = Outcome::Done { due: false, stale: false };

/// How long to measure.
#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    round: Duration,
}

/// Nanoseconds for each call of `run`: the median of the rounds, after one that does not count.
fn measure(plan: Plan, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut calls: u64 = 0;
    while start.elapsed() < plan.round {
        run();
        calls += 1;
    }
    let mut rounds: Vec<f64> = (0..plan.rounds)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                run();
            }
            start.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn put_key(ring: &Ring, id: &str) {
    let fresh = Freshness { check_after_ms: u64::MAX, overdue_after_ms: u64::MAX };
    let standing = Standing { expires_at_ms: i64::MAX, revoked: false, fresh, as_latest: true };
    let key = Arc::new(Key::generate().expect("a key"));
    ring.put(id, 1_795_315_800, key, &standing).expect("an open ring");
}

fn encrypt(session: &Session, payload: &[u8], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let outcome = session.encrypt(black_box(payload), session.ring().now(), false, scratch, out);
    assert_eq!(outcome, DONE);
    black_box(&out);
}

fn decrypt(session: &Session, record: &[u8], scratch: &mut Scratch, plain: &mut [u8]) {
    let outcome = session.decrypt(black_box(record), session.ring().now(), false, scratch, plain);
    assert_eq!(outcome, DONE);
    black_box(&plain);
}

/// Large results that a caller still has.
struct Kept {
    results: VecDeque<Vec<u8>>,
    size: usize,
}

/// About what Node's engine lets pile up before it collects.
const KEPT: usize = 64 << 20;

impl Kept {
    fn of(size: usize) -> Kept {
        Kept { results: VecDeque::new(), size }
    }

    /// Memory for a result: that of the oldest, when there are enough.
    fn next(&mut self) -> Vec<u8> {
        let is_full = self.results.len() * self.size >= KEPT;
        let oldest = if is_full { self.results.pop_front() } else { None };
        oldest.unwrap_or_else(|| vec![0; self.size])
    }
}

fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let plan = if has("--quick") {
        Plan { rounds: 5, round: Duration::from_millis(20) }
    } else {
        Plan { rounds: 9, round: Duration::from_millis(100) }
    };
    prepare(&MemoryOptions { hot_slots: 4_096, require_locked: false }).expect("guarded memory");
    let options = RingOptions { capacity: 100_000, suffix: String::new(), accepted_suffixes: Vec::new() };
    let ring = Ring::new(&options);
    let mut scratch = Scratch::new();
    let mut out = Vec::new();

    put_key(&ring, "_IK_tenant-42_api_catalog");
    let session = Session::open(&ring, "_IK_tenant-42_api_catalog").expect("a session");
    let mut encrypts = Vec::new();
    let mut decrypts = Vec::new();
    let mut fresh = Vec::new();
    for size in SIZES {
        let payload = vec![0x5a; size];
        let mut plain = vec![0; size];
        encrypts.push((size, measure(plan, || encrypt(&session, &payload, &mut scratch, &mut out))));
        let record = out.clone();
        decrypts.push((size, measure(plan, || decrypt(&session, &record, &mut scratch, &mut plain))));
        assert_eq!(plain, payload);
        if size < LARGE {
            continue;
        }
        let mut kept = Kept::of(out.capacity());
        let encrypting = measure(plan, || {
            let mut out = kept.next();
            encrypt(&session, &payload, &mut scratch, &mut out);
            kept.results.push_back(out);
        });
        let mut kept = Kept::of(size);
        let decrypting = measure(plan, || {
            let mut plain = kept.next();
            plain.fill(0);
            decrypt(&session, &record, &mut scratch, &mut plain);
            kept.results.push_back(plain);
        });
        fresh.push((size, encrypting, decrypting));
    }

    let sessions: Vec<Session> = (0..PARTITIONS)
        .map(|partition| {
            let id = format!("_IK_tenant-{partition}_api_catalog");
            put_key(&ring, &id);
            Session::open(&ring, &id).expect("a session")
        })
        .collect();
    let payload = [0x5a; 64];
    let mut next = 0;
    let in_turn = measure(plan, || {
        encrypt(&sessions[next], &payload, &mut scratch, &mut out);
        next = (next + 1) % PARTITIONS;
    });

    if has("--json") {
        let members = |figures: &[(usize, f64)]| {
            let members: Vec<String> =
                figures.iter().map(|(size, ns)| format!("\"{size}\":{ns:.1}")).collect();
            members.join(",")
        };
        println!(
            "{{\"unit\":\"ns\",\"encrypt\":{{{}}},\"decrypt\":{{{}}},\"fresh\":{{\"encrypt\":{{{}}},\"decrypt\":{{{}}}}},\
             \"partitions\":{{\"{PARTITIONS}\":{in_turn:.1}}}}}",
            members(&encrypts),
            members(&decrypts),
            members(&fresh.iter().map(|&(size, ns, _)| (size, ns)).collect::<Vec<_>>()),
            members(&fresh.iter().map(|&(size, _, ns)| (size, ns)).collect::<Vec<_>>()),
        );
        return;
    }
    println!("{:>12} {:>12} {:>12}", "payload", "encrypt ns", "decrypt ns");
    for ((size, encrypt), (_, decrypt)) in encrypts.iter().zip(&decrypts) {
        println!("{size:>12} {encrypt:>12.1} {decrypt:>12.1}");
    }
    for (size, encrypt, decrypt) in &fresh {
        println!("{size:>12} {encrypt:>12.1} {decrypt:>12.1}  into memory of its own");
    }
    println!("64 B, {PARTITIONS} partitions in turn: encrypt {in_turn:.1} ns");
}
