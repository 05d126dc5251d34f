//! What is in a slot, and when.

use super::super::slot::{Place, STRIDE};
use super::super::{Key, arena as memory, status, workspace};
use super::{arena, children, operations};
use crate::status::Fault;

/// Where in a slot the raw key is.
const RAW: std::ops::Range<usize> = 584..616;

/// The bytes of a slot.
fn bytes(place: Place) -> Vec<u8> {
    // SAFETY: a slot of a mapping that stays; no other thread works in these tests.
    unsafe { std::slice::from_raw_parts(place.as_ptr().cast::<u8>(), STRIDE) }.to_vec()
}

/// Whether a slot holds nothing.
pub(super) fn is_zero(place: Place) -> bool {
    bytes(place).iter().all(|byte| *byte == 0)
}

fn hot_place(key: &Key) -> Place {
    memory::any().expect("made").hot.place(key.hint()).expect("it was hot")
}

fn holds(place: Place, key: &[u8; 32]) -> bool {
    bytes(place).windows(32).any(|window| window == key)
}

#[test]
fn a_freed_slot_is_zero() {
    children::pass(module_path!(), "a_freed_slot_is_zero", &["hot", "core"], |case| {
        arena(4);
        if case == "hot" {
            let key = Key::generate().expect("generated");
            let mut raw = [0; 32];
            key.export(&mut raw).expect("exported");
            key.seal(b"", &mut [0; 28]).expect("sealed");
            let place = hot_place(&key);
            assert!(holds(place, &raw), "an AES-256 key is the first two words of its own schedule");
            assert_eq!(bytes(place)[RAW], [0; 32], "the raw key is wiped once it is expanded");
            drop(key);
            assert!(is_zero(place));
            assert_eq!(status().hot_in_use, 0);
        } else {
            let mut slot = memory::live().expect("made").take().expect("taken");
            let place = slot.place();
            slot.raw_mut().fill(7);
            slot.expand().expect("expanded");
            assert!(!is_zero(place));
            drop(slot);
            assert!(is_zero(place));
        }
    });
}

#[test]
fn work_slots_are_zero_after_every_operation() {
    children::pass(module_path!(), "work_slots_are_zero_after_every_operation", &["work"], |_| {
        arena(1);
        let key = Key::generate().expect("generated");
        let mine = workspace::run(|_, workspace| Ok(workspace.work.place())).expect("run");
        let coffers = memory::any().expect("made").coffer.places()[2];
        let wrapped = key.wrap(&key).expect("wrapped");
        let mut data = [0; 60];
        let drk = key.seal_record(&[1; 32], &mut data).expect("sealed");
        for (number, answer) in operations(&key, &wrapped, (&drk, &data)).enumerate() {
            assert_eq!(answer, Ok(()), "operation {number}");
            assert!(is_zero(mine) && is_zero(coffers), "after operation {number}");
        }
        key.open_record(&[0; 60], &data, &mut [0; 32]).expect_err("forged");
        assert!(is_zero(mine));
        key.open_record(&drk, &[0; 60], &mut [0; 32]).expect_err("forged");
        assert!(is_zero(mine));
    });
}

#[test]
fn a_result_is_thrown_away_when_the_sentinel_went_meanwhile() {
    let test = "a_result_is_thrown_away_when_the_sentinel_went_meanwhile";
    children::pass(module_path!(), test, &["sentinel"], |_| {
        arena(1);
        assert_eq!(workspace::run(|_, _| Ok(7)), Ok(7));
        let result = workspace::run(|_, _| {
            let (first, _) = super::super::region::Region::all().last().expect("a core region").span();
            // SAFETY: the sentinel, behind the front canary.
            unsafe { first.add(64).cast::<u64>().write_volatile(0) };
            Ok(7)
        });
        assert_eq!(result, Err(Fault::Canary));
    });
}

#[test]
fn eviction_spares_what_was_used_again_and_leaves_nothing_of_the_rest() {
    let test = "eviction_spares_what_was_used_again_and_leaves_nothing_of_the_rest";
    children::pass(module_path!(), test, &["eviction"], |_| {
        arena(3);
        let keys: Vec<Key> = (0..4).map(|_| Key::generate().expect("generated")).collect();
        let raw: Vec<[u8; 32]> = keys
            .iter()
            .map(|key| {
                let mut raw = [0; 32];
                key.export(&mut raw).expect("exported");
                raw
            })
            .collect();
        let used = |number: usize| keys[number].seal(b"", &mut [0; 28]).expect("sealed");
        let hot = |number: usize| {
            memory::any()
                .expect("made")
                .hot
                .place(keys[number].hint())
                .is_some_and(|place| holds(place, &raw[number]))
        };
        [0, 1, 2, 0].into_iter().for_each(used);
        let place = hot_place(&keys[1]);
        used(3);
        assert_eq!([0, 1, 2, 3].map(hot), [true, false, true, true]);
        assert!(holds(place, &raw[3]) && !holds(place, &raw[1]));
        used(1);
        assert_eq!([0, 1, 2, 3].map(hot), [true, true, false, true]);
        [3, 0].into_iter().for_each(used);
        used(2);
        assert_eq!([0, 1, 2, 3].map(hot), [true, false, true, true]);
        assert_eq!((status().hot_slots, status().hot_misses, status().hot_hits), (3, 6, 3));
    });
}

#[test]
fn a_pinned_slot_is_not_evicted_and_others_work_on_in_core_slots() {
    let test = "a_pinned_slot_is_not_evicted_and_others_work_on_in_core_slots";
    children::pass(module_path!(), test, &["pins"], |_| {
        arena(2);
        let keys: Vec<Key> = (0..3).map(|_| Key::generate().expect("generated")).collect();
        for key in &keys[..2] {
            key.seal(b"", &mut [0; 28]).expect("sealed");
        }
        let pool = &memory::live().expect("made").hot;
        let held = [&keys[0], &keys[1]].map(|key| pool.pin(key.number(), key.hot()).expect("pinned"));
        let places = [hot_place(&keys[0]), hot_place(&keys[1])].map(bytes);
        let in_use = status().slots_in_use;
        let mut sealed = [0; 29];
        keys[2].seal(b"x", &mut sealed).expect("sealed without a hot slot");
        assert_eq!(keys[2].open(&sealed, &mut [0; 1]), Ok(()));
        assert_eq!([hot_place(&keys[0]), hot_place(&keys[1])].map(bytes), places);
        assert_eq!(status().slots_in_use, in_use, "the core slot is back");
        drop(held);
        keys[2].seal(b"x", &mut sealed).expect("sealed");
        assert_ne!([hot_place(&keys[0]), hot_place(&keys[1])].map(bytes), places);
    });
}

#[test]
fn the_coffer_splits_anew_and_still_opens_what_it_sealed() {
    children::pass(module_path!(), "the_coffer_splits_anew_and_still_opens_what_it_sealed", &["age"], |_| {
        arena(1);
        let (key, other) = (Key::generate().expect("generated"), Key::generate().expect("generated"));
        let coffer = &memory::live().expect("made").coffer;
        let halves = || [coffer.places()[0], coffer.places()[1]].map(|place| bytes(place)[RAW].to_vec());
        let [left, right] = halves();
        let wrapped = key.wrap(&other).expect("wrapped");
        assert_eq!(halves(), [left.clone(), right.clone()]);
        coffer.age();
        let again = key.unwrap(&wrapped).expect("the enclaves open");
        let [left_now, right_now] = halves();
        assert!(left_now != left && right_now != right);
        let (mut one, mut two) = ([0; 32], [0; 32]);
        assert_eq!((again.export(&mut one), other.export(&mut two)), (Ok(()), Ok(())));
        assert_eq!(one, two);
    });
}

#[test]
fn without_an_arena_everything_is_unavailable() {
    children::pass(module_path!(), "without_an_arena_everything_is_unavailable", &["none"], |_| {
        assert!(matches!(Key::generate(), Err(Fault::Unavailable)));
        let mut bytes = [7; 32];
        assert!(matches!(Key::import(&mut bytes), Err(Fault::Unavailable)));
        assert_eq!(bytes, [0; 32], "import zeroes whatever happens");
        let mut random = [7; 8];
        assert_eq!(super::super::random(&mut random), Err(Fault::Unavailable));
        assert_eq!(random, [0; 8]);
        assert_eq!(super::super::inspect(), Err(Fault::Unavailable));
        assert_eq!((status().hot_slots, status().locked_bytes), (0, 0));
    });
}
