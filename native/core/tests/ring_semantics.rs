//! When a key in the ring is used, checked, waited for or missed: each boundary.

mod ring_support;

use asherah_core::ring::State;
use asherah_core::{Fault, Freshness, Now, Outcome, Session, Standing};
use ring_support::*;

#[test]
fn the_latest_key_is_used_until_it_expires_or_is_revoked() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    assert_eq!(bench.encrypt(START, false), Outcome::Miss);
    assert!(bench.out.is_empty());
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    for (wall_ms, outcome) in [
        (i64::MIN, FRESH),
        (-1, FRESH),
        (49_999, FRESH),
        (50_000, Outcome::Miss),
        (50_001, Outcome::Miss),
        (i64::MAX, Outcome::Miss),
    ] {
        assert_eq!(bench.encrypt(at(wall_ms, 1_000), false), outcome, "{wall_ms}");
        assert_eq!(bench.encrypt(at(wall_ms, 1_000), true), outcome, "{wall_ms}, tolerant");
        assert_eq!(bench.out.is_empty(), outcome == Outcome::Miss);
    }
    // Expiry and revocation are no question of freshness: a back-off does not help.
    ring.back_off(CORE, None, u64::MAX);
    assert_eq!(bench.encrypt(at(50_000, 30_000), true), Outcome::Miss);
    assert!(ring.refresh(CORE, CREATED, &Standing { revoked: true, ..standing() }));
    assert_eq!(bench.encrypt(START, true), Outcome::Miss);
    assert!(ring.refresh(CORE, CREATED, &Standing { expires_at_ms: 40_001, ..standing() }));
    assert_eq!(bench.encrypt(START, false), FRESH);
    assert_eq!(bench.encrypt(at(40_001, 1_000), false), Outcome::Miss);
}

#[test]
fn decryption_ignores_expiry_and_revocation() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    let record = bench.record(b"text", START);
    ring.refresh(CORE, CREATED, &Standing { revoked: true, expires_at_ms: 0, ..standing() });
    assert_eq!(bench.encrypt(START, false), Outcome::Miss);
    assert_eq!(bench.decrypt(&record, at(i64::MAX, 1_000), false), (FRESH, b"text".to_vec()));
}

/// Both questions follow the same rules, each with a freshness of its own.
fn ask(bench: &mut Bench, exact: Option<&str>, mono_ms: u64, tolerant: bool) -> Outcome {
    match exact {
        None => bench.encrypt(at(40_000, mono_ms), tolerant),
        Some(record) => bench.judged(record, at(40_000, mono_ms), tolerant),
    }
}

#[test]
fn checks_are_due_once_and_overdue_later() {
    for is_exact in [false, true] {
        let ring = ring(10);
        let mut bench = Bench::new(&ring, CORE);
        ring.put(CORE, CREATED, key(), &standing()).expect("open");
        let record = bench.record(b"text", START);
        let exact = is_exact.then_some(record.as_str());
        for (mono_ms, tolerant, outcome, why) in [
            (0, false, FRESH, "long before"),
            (9_999, false, FRESH, "just before a check is due"),
            (10_000, false, DUE, "due: the first caller is told"),
            (10_000, false, STALE, "only the first"),
            (10_000, true, STALE, "also among tolerant ones"),
            (19_999, false, STALE, "until the claim lapses"),
            (20_000, false, Outcome::Overdue, "overdue: a claim is no reason to use it"),
            (20_000, true, DUE, "tolerant; the claim of 10,000 has lapsed"),
            (20_000, true, STALE, "tolerant, claimed"),
            (29_999, true, STALE, "tolerant, still claimed"),
            (29_999, false, Outcome::Overdue, "whoever has claimed"),
            (30_000, true, DUE, "the claim has lapsed"),
            (u64::MAX, false, Outcome::Overdue, "at the end of time"),
            (u64::MAX, true, DUE, "at the end of time, tolerant"),
        ] {
            assert_eq!(
                ask(&mut bench, exact, mono_ms, tolerant),
                outcome,
                "{mono_ms} {why}, exact {is_exact}"
            );
        }
        // A new look at the key starts anew.
        let fresh = Freshness { check_after_ms: 40_000, overdue_after_ms: 60_000 };
        assert!(ring.refresh(CORE, CREATED, &Standing { fresh, ..standing() }));
        for (mono_ms, outcome) in
            [(39_999, FRESH), (40_000, DUE), (49_999, STALE), (50_000, DUE), (60_000, Outcome::Overdue)]
        {
            assert_eq!(ask(&mut bench, exact, mono_ms, false), outcome, "{mono_ms}, exact {is_exact}");
        }
    }
}

#[test]
fn a_failed_check_opens_a_back_off() {
    for is_exact in [false, true] {
        let ring = ring(10);
        let mut bench = Bench::new(&ring, CORE);
        ring.put(CORE, CREATED, key(), &standing()).expect("open");
        let record = bench.record(b"text", START);
        let exact = is_exact.then_some(record.as_str());
        let question = is_exact.then_some(CREATED);
        assert_eq!(ask(&mut bench, exact, 20_000, false), Outcome::Overdue);
        ring.back_off(CORE, question, 30_000);
        for (mono_ms, tolerant, outcome) in [
            (9_999, false, FRESH),
            (10_000, false, STALE),
            (20_000, false, STALE),
            (20_000, true, STALE),
            (29_999, false, STALE),
            (30_000, false, Outcome::Overdue),
            (30_000, true, DUE),
        ] {
            assert_eq!(
                ask(&mut bench, exact, mono_ms, tolerant),
                outcome,
                "{mono_ms} {tolerant}, exact {is_exact}"
            );
        }
        ring.back_off(CORE, question, 50_000);
        assert!(ring.refresh(CORE, CREATED, &standing()));
        assert_eq!(ask(&mut bench, exact, 40_000, false), Outcome::Overdue, "a check that worked ends it");
    }
    let ring = ring(10);
    ring.back_off(CORE, None, 1);
    ring.back_off(CORE, Some(1), 1);
}

#[test]
fn the_two_questions_are_checked_apart() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    let record = bench.record(b"text", START);
    let late = at(40_000, 20_000);

    ring.back_off(CORE, None, 30_000);
    assert_eq!((bench.encrypt(late, false), bench.judged(&record, late, false)), (STALE, Outcome::Overdue));

    let exact_only = Standing { as_latest: false, ..standing() };
    assert!(ring.refresh(CORE, CREATED, &Standing { fresh: forever().fresh, ..exact_only }));
    let later = at(40_000, 30_000);
    assert_eq!((bench.encrypt(later, false), bench.judged(&record, later, false)), (Outcome::Overdue, FRESH));

    assert!(ring.refresh(CORE, CREATED, &standing()));
    ring.back_off(CORE, Some(CREATED), 30_000);
    assert_eq!((bench.encrypt(late, false), bench.judged(&record, late, false)), (Outcome::Overdue, STALE));

    // Both claims are there to be won.
    let due = at(40_000, 10_000);
    assert!(ring.refresh(CORE, CREATED, &standing()));
    assert_eq!((bench.encrypt(due, false), bench.judged(&record, due, false)), (DUE, DUE));
    assert_eq!((bench.encrypt(due, false), bench.judged(&record, due, false)), (STALE, STALE));
}

#[test]
fn the_latest_is_what_the_control_plane_says() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    let not_latest = Standing { as_latest: false, ..forever() };
    ring.put(CORE, 120, key(), &not_latest).expect("open");
    assert_eq!(bench.encrypt(START, false), Outcome::Miss, "in, but not the latest");
    ring.put(CORE, 60, key(), &forever()).expect("open");
    let created = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
        value["Key"]["ParentKeyMeta"]["Created"].as_i64()
    };
    assert_eq!(created(&bench.record(b"", START)), Some(60));
    assert!(ring.refresh(CORE, 120, &forever()));
    let newer = bench.record(b"newer", START);
    assert_eq!(created(&newer), Some(120));
    assert!(ring.refresh(CORE, 60, &forever()), "it may move back");
    assert_eq!(created(&bench.record(b"", START)), Some(60));
    assert!(ring.refresh(CORE, 120, &not_latest));
    assert_eq!(created(&bench.record(b"", START)), Some(60), "a refresh of another key does not move it");

    assert!(ring.evict(CORE, 60));
    assert!(!ring.evict(CORE, 60));
    assert_eq!(bench.encrypt(START, false), Outcome::Miss, "nothing takes the place of an evicted latest");
    assert_eq!(bench.decrypt(&newer, START, false), (FRESH, b"newer".to_vec()));
    assert!(!ring.refresh(CORE, 60, &forever()));
    assert_eq!(bench.encrypt(START, false), Outcome::Miss);
    ring.put(CORE, 60, key(), &not_latest).expect("open");
    assert_eq!(bench.encrypt(START, false), Outcome::Miss, "it comes back as any other key");
    assert!(!ring.refresh("_IK_other_api_catalog", 60, &forever()));
    assert!(!ring.evict("_IK_other_api_catalog", 60));
}

#[test]
fn putting_a_key_again_replaces_it() {
    let ring = ring(2);
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    let first = bench.record(b"text", START);
    for _ in 0..5 {
        ring.put(CORE, CREATED, key(), &forever()).expect("open");
    }
    assert_eq!(ring.stats().keys, 1);
    assert_eq!(
        bench.judged(&first, START, false),
        Outcome::Fault(Fault::KeyAuthentication),
        "another key by now"
    );
    assert_eq!(bench.encrypt(at(50_000, 20_000), false), FRESH);
}

#[test]
fn the_control_plane_finds_keys_that_records_do_not() {
    let ring = ring(10);
    let id = "_SK_api_catalog";
    assert!(ring.get(id, None, START).is_none());
    assert!(ring.get(id, Some(60), START).is_none());
    let revoked = Standing { revoked: true, expires_at_ms: 5, ..standing() };
    ring.put(id, 60, key(), &revoked).expect("open");
    for created in [None, Some(60)] {
        let seen = |now: Now| ring.get(id, created, now).map(|entry| entry.state);
        let entry = ring.get(id, created, START).expect("in");
        assert_eq!((entry.created, entry.expires_at_ms, entry.revoked), (60, 5, true));
        assert_eq!(seen(at(0, 9_999)), Some(State::Fresh));
        assert_eq!(seen(at(0, 10_000)), Some(State::Due));
        assert_eq!(seen(at(0, 10_000)), Some(State::Fresh), "claimed");
        assert_eq!(seen(at(0, 20_000)), Some(State::Overdue));
        ring.back_off(id, created, 30_000);
        assert_eq!(seen(at(0, 20_000)), Some(State::Fresh), "back-off");
    }
    let entry = ring.get(id, Some(60), START).expect("in");
    ring.evict(id, 60);
    // Whoever has the key may finish with it.
    assert!(entry.key.wrap(&key()).is_ok());
    assert!(ring.get(id, None, START).is_none());
}

#[test]
fn a_closed_ring_is_empty_and_stays_so() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, CREATED, key(), &forever()).expect("open");
    let record = bench.record(b"text", START);
    ring.close();
    ring.close();
    let closed = Outcome::Fault(Fault::Closed);
    assert_eq!(bench.encrypt(START, true), closed);
    assert!(bench.out.is_empty());
    assert_eq!(bench.decrypt(&record, START, true), (closed, Vec::new()));
    assert_eq!(ring.put(CORE, CREATED, key(), &forever()), Err(Fault::Closed));
    assert!(!ring.refresh(CORE, CREATED, &forever()));
    assert!(!ring.evict(CORE, CREATED));
    assert!(ring.get(CORE, None, START).is_none());
    assert_eq!(Session::open(&ring, CORE).err(), Some(Fault::Closed));
    assert_eq!((ring.stats().keys, ring.is_closed()), (0, true));
    let foreign = record.replace("tenant-42", "tenant-43");
    assert_eq!(bench.judged(&foreign, START, false), Outcome::Fault(Fault::RecordForeign));
}

#[test]
fn counts_are_of_answers() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    bench.encrypt(START, false);
    ring.put(CORE, CREATED, key(), &standing()).expect("open");
    let record = bench.record(b"", START);
    bench.judged(&record, START, false);
    bench.encrypt(at(40_000, 10_000), false);
    bench.encrypt(at(40_000, 10_000), false);
    bench.encrypt(at(40_000, 20_000), false);
    bench.judged(&record.replace("tenant-42", "tenant-43"), START, false);
    bench.judged(&record.replace("1795315800", "1795315801"), START, false);
    let stats = ring.stats();
    assert_eq!((stats.keys, stats.capacity), (1, 10));
    assert_eq!((stats.hits, stats.misses, stats.stale, stats.evictions), (4, 3, 2, 0));
}

#[test]
fn an_injected_clock_stands_still() {
    let ring = ring(10);
    let system = ring.now();
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_millis();
    assert!(
        since.abs_diff(u128::try_from(system.wall_ms).expect("after 1970")) < 1_000,
        "{since} {system:?}"
    );
    std::thread::sleep(std::time::Duration::from_millis(30));
    let later = ring.now();
    let elapsed = later.mono_ms - system.mono_ms;
    assert!((10..5_000).contains(&elapsed), "{elapsed}");

    ring.set_clock(Some(at(-1, 7)));
    assert_eq!(ring.now(), at(-1, 7));
    assert_eq!(ring.now().wall_seconds(), -1);
    ring.set_clock(Some(at(1_795_315_836_999, 8)));
    let mut bench = Bench::new(&ring, CORE);
    ring.put(CORE, CREATED, key(), &forever()).expect("open");
    let now = ring.now();
    assert!(bench.record(b"", now).starts_with(r#"{"Key":{"Created":1795315836,"#), "seconds, rounded down");
    ring.set_clock(None);
    assert!(ring.now().mono_ms >= later.mono_ms);
}
