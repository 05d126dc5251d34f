//! Which keys leave a full ring, and what happens to those who use them.

mod ring_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use asherah_core::memory::Key;
use asherah_core::{Outcome, Ring, Scratch, Session};
use ring_support::*;

fn id(number: usize) -> String {
    format!("_IK_tenant-{number}_api_catalog")
}

fn has(ring: &Ring, number: usize) -> bool {
    ring.get(&id(number), None, START).is_some()
}

/// Like [`has`], without counting as a use.
fn evictable(ring: &Ring, number: usize) -> bool {
    ring.evict(&id(number), CREATED)
}

#[test]
fn keys_in_use_stay_and_others_leave() {
    let ring = ring(3);
    for number in 0..3 {
        ring.put(&id(number), CREATED, key(), &forever()).expect("open");
    }
    let mut used = Bench::new(&ring, &id(0));
    assert_eq!(used.encrypt(START, false), FRESH);
    ring.put(&id(3), CREATED, key(), &forever()).expect("open");
    let stats = ring.stats();
    assert_eq!((stats.keys, stats.evictions), (3, 1));
    assert_eq!(used.encrypt(START, false), FRESH, "used, so it was spared");
    // 1 was the oldest that nobody used; nobody has used 2 and 3 either.
    assert!(!evictable(&ring, 1));
    assert!(evictable(&ring, 2) && evictable(&ring, 3));
}

#[test]
fn keys_that_nobody_uses_leave_in_the_order_they_came() {
    let ring = ring_of(&[0, 1, 2, 3, 4]);
    assert!(!evictable(&ring, 0) && !evictable(&ring, 1));
    assert!(evictable(&ring, 2) && evictable(&ring, 3) && evictable(&ring, 4));
}

/// A ring with room for three of these keys.
fn ring_of(numbers: &[usize]) -> Arc<Ring> {
    let ring = ring(3);
    for &number in numbers {
        ring.put(&id(number), CREATED, key(), &forever()).expect("open");
    }
    ring
}

#[test]
fn a_full_ring_of_used_keys_still_takes_new_ones() {
    let ring = ring(4);
    for number in 0..100 {
        ring.put(&id(number), CREATED, key(), &forever()).expect("open");
        assert!(has(&ring, number), "{number}: the newest is in");
        for earlier in 0..number {
            has(&ring, earlier);
        }
    }
    let stats = ring.stats();
    assert_eq!((stats.keys, stats.evictions), (4, 96));
}

#[test]
fn a_ring_of_one_key_works() {
    for capacity in [0, 1] {
        let ring = ring(capacity);
        let (mut first, mut second) = (Bench::new(&ring, &id(1)), Bench::new(&ring, &id(2)));
        for _ in 0..3 {
            ring.put(&id(1), CREATED, key(), &forever()).expect("open");
            assert_eq!((first.encrypt(START, false), second.encrypt(START, false)), (FRESH, Outcome::Miss));
            ring.put(&id(2), CREATED, key(), &forever()).expect("open");
            assert_eq!((first.encrypt(START, false), second.encrypt(START, false)), (Outcome::Miss, FRESH));
        }
        assert_eq!((ring.stats().keys, ring.stats().capacity), (1, 1));
    }
}

#[test]
fn an_evicted_latest_clears_its_pointer() {
    let ring = ring(2);
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, 60, key(), &forever()).expect("open");
    ring.put(CORE, 120, key(), &asherah_core::Standing { as_latest: false, ..forever() }).expect("open");
    ring.put(&id(1), CREATED, key(), &forever()).expect("open");
    assert_eq!(bench.encrypt(START, false), Outcome::Miss);
    assert!(ring.get(CORE, Some(120), START).is_some());
    ring.put(CORE, 60, key(), &forever()).expect("open");
    assert_eq!(bench.encrypt(START, false), FRESH, "the session's cell is the one that keys are put into");
}

#[test]
fn sessions_and_keys_leave_nothing_behind() {
    let ring = ring(8);
    // The map, the free list and the thread's own slots come first.
    for number in 0..16 {
        ring.put(&id(number), CREATED, key(), &forever()).expect("open");
        drop(Session::open(&ring, &id(number)));
    }
    let used = allocation_counter::measure(|| {
        for number in 16..2_000 {
            let session = Session::open(&ring, &id(number)).expect("open");
            let clone = session.clone();
            ring.put(&id(number), CREATED, key(), &forever()).expect("open");
            match number % 3 {
                // Emptied while sessions hold it; emptied after; left to the ring's own eviction.
                0 => assert!(ring.evict(&id(number), CREATED)),
                1 => {
                    drop((session, clone));
                    assert!(ring.evict(&id(number), CREATED));
                    drop(Session::open(&ring, &id(number + 1_000_000)));
                }
                _ => {}
            }
        }
    });
    assert!(used.bytes_current.abs() < 4_096, "{used:?}");
}

/// Bytes of resident memory, where the system tells.
fn resident() -> Option<i64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split(' ').nth(1)?.parse::<i64>().ok().map(|pages| pages * 4_096)
}

#[test]
fn a_key_costs_little_memory() {
    const KEYS: usize = 100_000;
    drop(key());
    let mut held = None;
    let before = resident();
    let used = allocation_counter::measure(|| {
        let ring = ring(KEYS);
        for number in 0..KEYS {
            let id = format!("_IK_tenant-{number:013}_service_product");
            assert_eq!(id.len(), 40);
            ring.put(&id, CREATED, key(), &forever()).expect("open");
        }
        held = Some(ring);
    });
    let each = used.bytes_current / KEYS as i64;
    println!(
        "{each} bytes for each key; resident memory {:?}",
        resident().zip(before).map(|(now, before)| (now - before) / KEYS as i64)
    );
    assert!(each <= 600, "{each}");
    assert_eq!(held.map(|ring| ring.stats().keys), Some(KEYS));
}

/// Everything at once: each record that was made opens again, or its key is missing; nothing else ever.
#[test]
fn threads_may_do_everything_at_once() {
    const PARTITIONS: usize = 12;
    let ring = ring(5);
    let keys: Arc<Vec<Arc<Key>>> = Arc::new((0..PARTITIONS).map(|_| key()).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicU64::new(0));
    let workers = (0..4_usize).map(|worker| {
        let (ring, keys, stop, done) = (ring.clone(), keys.clone(), stop.clone(), done.clone());
        std::thread::spawn(move || {
            let mut scratch = Scratch::new();
            let (mut out, mut plain) = (Vec::new(), [0; 32]);
            let mut turn = worker;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let number = turn * (worker + 1) % PARTITIONS;
                let payload = [number as u8; 32];
                let session = Session::open(&ring, &id(number)).expect("open");
                match session.encrypt(&payload, START, false, &mut scratch, &mut out) {
                    Outcome::Miss => {
                        ring.put(&id(number), CREATED, keys[number].clone(), &forever()).expect("open");
                        continue;
                    }
                    outcome => assert_eq!(outcome, FRESH),
                }
                match session.decrypt(&out, START, false, &mut scratch, &mut plain[..]) {
                    Outcome::Miss => {
                        assert_eq!(*scratch.question().key_id, *id(number));
                        assert_eq!(scratch.question().created, CREATED);
                    }
                    outcome => {
                        assert_eq!((outcome, plain), (FRESH, payload));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
                if turn.is_multiple_of(7) {
                    ring.evict(&id(number), CREATED);
                }
                assert!(ring.stats().keys <= 5);
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert!(done.load(Ordering::Relaxed) > 100);
    assert!(ring.stats().evictions > 0);
}

#[test]
fn one_of_many_threads_is_told_that_a_check_is_due() {
    let ring = ring(1);
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    for round in 0..50 {
        ring.refresh(CORE, CREATED, &standing());
        let told: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut bench = Bench::new(&ring, CORE);
                        (0..20).filter(|_| bench.encrypt(at(40_000, 15_000), false) == DUE).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(told, 1, "round {round}");
    }
}
