//! Records of other implementations, damaged records and limits, through a session.

mod ring_support;

use asherah_core::record::MAX_PAYLOAD;
use asherah_core::{Fault, Outcome, PlaintextSink, Question, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring_support::*;
use serde_json::Value;

const IK: &str = "89138ed2e7a68fefcdba21017b1eff025e31ef5f6eb306d21f623e0979c189ad";
const SK: &str = "c7f492de2605febd36f7a7f60fde2d2d8956ab9326415b951b492f7b30fab651";
const WRAPPED_IK: &str = "y6biLP6xtfCqiRNmvrD1XODXa2+c38VrfgjUz0MXizcsBRr1TS8hTeiykcBlBTNA+U7/etbLprtvFnaB";
const SECRET: &str = r#"{"Key":{"Created":1795315836,"Key":"NgN+YnaGKUZMl/aMW/hedIGfxNhBFcsdmw1acYfzp0pG80XVDgiQfazc3XtaAtqOEeEPRI9tSa3GmqOK","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog","Created":1795315800}},"Data":"Yhe2KH1UNSb6wWw2B3CTJxxACOsqTDPffKsMU7qD38tdMWF+4HjvXApGy3AYvhp/"}"#;
const EMPTY: &str = r#"{"Key":{"Created":1795315836,"Key":"5wyic4bbwnmQ2Zog2tGkB8iLPriB+Z7MXd7JCBmhn/hd+MdwuWmHVdRsRGt15AH2E0RuNHSghw9KVLs0","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog","Created":1795315800}},"Data":"q/TPXqratFtjlPGCScAsLM/X+B4LYkwXuNZ3DA=="}"#;
const REGIONAL_IK: &str = "04b18bd236ed92df8d2808534d9396fcc48cfdb0971bf1cb9f798e2273eab54e";
const REGIONAL: &str = r#"{"Key":{"Created":1795315836,"Key":"c8FF0S6TK1yar9gdwxOHA8FUPhKP1MwRzzQHVf5Zy+zSi9lBCTQs8AH5JfH/2QFLx49X5o5jwVe9sI5w","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog_us-west-2","Created":1795315800}},"Data":"UEGjfFew57usWxRs47+BvrAxO/hXEjouDzSaU7c+HbDamQ=="}"#;

fn fixture() -> Bench {
    let ring = ring(10);
    ring.put(CORE, CREATED, imported(IK), &forever()).expect("open");
    Bench::new(&ring, CORE)
}

#[test]
fn records_of_the_canonical_library_open() {
    let mut bench = fixture();
    assert_eq!(bench.decrypt(SECRET, START, false), (FRESH, b"mySuperSecretPayload".to_vec()));
    assert_eq!(bench.decrypt(EMPTY, START, false), (FRESH, Vec::new()));

    let regional = suffixed("us-west-2");
    regional
        .put("_IK_tenant-42_api_catalog_us-west-2", CREATED, imported(REGIONAL_IK), &forever())
        .expect("open");
    let mut bench = Bench::new(&regional, CORE);
    assert_eq!(bench.session.key_id(), "_IK_tenant-42_api_catalog_us-west-2");
    assert_eq!(bench.decrypt(REGIONAL, START, false), (FRESH, "h\u{e9}llo".as_bytes().to_vec()));
}

#[test]
fn they_open_with_the_intermediate_key_as_it_is_stored() {
    let wrapped = STANDARD.decode(WRAPPED_IK).expect("fixture");
    let key = imported(SK).unwrap(&wrapped).expect("fixture");
    let ring = ring(10);
    ring.put(CORE, CREATED, key.into(), &forever()).expect("open");
    let mut bench = Bench::new(&ring, CORE);
    assert_eq!(bench.decrypt(SECRET, START, false), (FRESH, b"mySuperSecretPayload".to_vec()));
}

#[test]
fn a_suffixed_session_reads_unsuffixed_and_other_regions_keys() {
    let ring = suffixed("eu-central-1");
    ring.put(CORE, CREATED, imported(IK), &forever()).expect("open");
    ring.put("_IK_tenant-42_api_catalog_us-west-2", CREATED, imported(REGIONAL_IK), &forever())
        .expect("open");
    let mut bench = Bench::new(&ring, CORE);
    assert_eq!(bench.encrypt(START, false), Outcome::Miss, "neither is its own");
    assert_eq!(bench.decrypt(SECRET, START, false), (FRESH, b"mySuperSecretPayload".to_vec()));
    assert_eq!(bench.decrypt(REGIONAL, START, false), (FRESH, "h\u{e9}llo".as_bytes().to_vec()));
    let unknown = SECRET.replace("_api_catalog", "_api_catalog_dc_2");
    assert_eq!(bench.judged(&unknown, START, false), Outcome::Miss);
    let asked = Question { key_id: "_IK_tenant-42_api_catalog_dc_2".to_owned(), created: CREATED };
    assert_eq!(*bench.scratch.question(), asked);
}

#[test]
fn the_gate_stands_before_the_ring() {
    for (suffix, foreign) in [
        ("", "_IK_tenant-43_api_catalog"),
        ("", "_IK_tenant-42_api_catalog_us-west-2"),
        ("", "_IK_tenant-42_api_catalog2"),
        ("us-west-2", "_IK_tenant-42_api_catalog2"),
        ("us-west-2", "_IK_tenant-42_api_catalog2_us-west-2"),
        ("us-west-2", "_IK_tenant-42_api_catalog_x_api_catalog_us-west-2"),
        ("us-west-2", "_SK_api_catalog_us-west-2"),
    ] {
        let ring = suffixed(suffix);
        // The foreign key is in, would open the record, and is not used.
        ring.put(foreign, CREATED, imported(IK), &forever()).expect("open");
        let mut bench = Bench::new(&ring, CORE);
        let record = SECRET.replace("_IK_tenant-42_api_catalog", foreign);
        for record in [record.clone(), record.replace("_api", "\\u005fapi")] {
            let before = ring.stats();
            let judged = bench.decrypt(&record, START, true);
            assert_eq!(judged, (Outcome::Fault(Fault::RecordForeign), Vec::new()), "{suffix} {foreign}");
            assert_eq!(ring.stats(), before);
            assert_eq!(*bench.scratch.question(), Question::default(), "nothing to be asked for");
        }
    }
}

#[test]
fn any_flipped_bit_is_a_typed_fault_and_leaves_zeroes() {
    let mut bench = fixture();
    let value: Value = serde_json::from_str(SECRET).expect("JSON");
    let (wrapped, data) =
        (value["Key"]["Key"].as_str().expect("text"), value["Data"].as_str().expect("text"));
    for (text, fault, left) in
        [(wrapped, Fault::KeyAuthentication, 20), (data, Fault::DataAuthentication, 20)]
    {
        let bytes = STANDARD.decode(text).expect("fixture");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let record = SECRET.replace(text, &STANDARD.encode(flipped));
            let expected = (Outcome::Fault(fault), vec![0; left]);
            assert_eq!(bench.decrypt(&record, START, false), expected, "bit {bit}");
            assert_eq!(bench.decrypt_spoiling(&record, START, false), expected, "bit {bit}");
        }
    }
}

#[test]
fn what_no_tag_covers_changes_nothing_or_is_refused() {
    let mut bench = fixture();
    let right = (FRESH, b"mySuperSecretPayload".to_vec());
    for harmless in [
        SECRET.replace("1795315836", "0"),
        SECRET.replace("\"Created\":1795315836", "\"Revoked\":true"),
        SECRET.replace(r#"{"Key":{"#, r#"{"Note":"x","Key":{"Note":[1],"#),
    ] {
        assert_eq!(bench.decrypt(&harmless, START, false), right, "{harmless}");
        assert_eq!(bench.decrypt_spoiling(&harmless, START, false), right, "{harmless}");
    }
    let swapped = |from: &str, to: &str| {
        let part = |text: &str, name: &str| {
            let value: Value = serde_json::from_str(text).expect("JSON");
            let place = if name == "Data" { &value["Data"] } else { &value["Key"]["Key"] };
            place.as_str().expect("text").to_owned()
        };
        SECRET.replace(&part(SECRET, from), &part(EMPTY, to))
    };
    assert_eq!(bench.judged(&swapped("Key", "Key"), START, false), Outcome::Fault(Fault::DataAuthentication));
    assert_eq!(
        bench.judged(&swapped("Data", "Data"), START, false),
        Outcome::Fault(Fault::DataAuthentication)
    );
    let relabelled = SECRET.replace("\"Created\":1795315800", "\"Created\":1795315801");
    assert_eq!(bench.decrypt(&relabelled, START, false), (Outcome::Miss, Vec::new()));
    assert_eq!(*bench.scratch.question(), Question { key_id: CORE.to_owned(), created: 1_795_315_801 });
    // Under another key of the same partition it is a wrong tag, not other bytes.
    bench.session.ring().put(CORE, 1_795_315_801, key(), &forever()).expect("open");
    let judged = bench.decrypt(&relabelled, START, false);
    assert_eq!(judged, (Outcome::Fault(Fault::KeyAuthentication), vec![0; 20]));
}

#[test]
fn the_question_of_a_due_check_is_the_records() {
    let ring = ring(10);
    ring.put(CORE, CREATED, imported(IK), &standing()).expect("open");
    let mut bench = Bench::new(&ring, CORE);
    let asked = Question { key_id: CORE.to_owned(), created: CREATED };
    assert_eq!(bench.judged(SECRET, at(0, 10_000), false), DUE);
    assert_eq!(*bench.scratch.question(), asked);
    bench.scratch = asherah_core::Scratch::new();
    assert_eq!(bench.judged(SECRET, at(0, 20_000), false), Outcome::Overdue);
    assert_eq!(*bench.scratch.question(), asked);
}

#[test]
fn malformed_comes_before_everything_else() {
    let ring = ring(10);
    let mut bench = Bench::new(&ring, CORE);
    for text in
        ["", "{}", "null", &SECRET[1..], &SECRET.replace("tenant-42", "other").replace("Yhe2", "Yh=2")]
    {
        let malformed = (Outcome::Fault(Fault::RecordMalformed), Vec::new());
        assert_eq!(bench.decrypt(text, START, false), malformed, "{text}");
        assert_eq!(bench.decrypt_spoiling(text, START, false), malformed, "{text}");
    }
    assert_eq!(bench.judged(SECRET, START, false), Outcome::Miss);
}

#[test]
fn a_sink_without_room_is_too_small() {
    struct Full;
    impl PlaintextSink for Full {
        fn place(&mut self, _len: usize) -> Option<&mut [u8]> {
            None
        }
    }
    let Bench { session, mut scratch, .. } = fixture();
    let outcome = session.decrypt(SECRET.as_bytes(), START, false, &mut scratch, &mut Full);
    assert_eq!(outcome, Outcome::Fault(Fault::TooLarge));
    let mut short = [7; 19];
    let outcome = session.decrypt(SECRET.as_bytes(), START, false, &mut scratch, &mut short[..]);
    assert_eq!((outcome, short), (Outcome::Fault(Fault::TooLarge), [7; 19]));
}

#[test]
fn ids_that_no_record_could_name_are_refused() {
    let ring = ring(10);
    assert!(Session::open(&ring, &"x".repeat(4_096)).is_ok());
    assert_eq!(Session::open(&ring, &"x".repeat(4_097)).err(), Some(Fault::RecordMalformed));
}

#[test]
fn the_limit_is_the_same_in_both_directions() {
    let mut bench = fixture();
    let mut payload = vec![0x5a; MAX_PAYLOAD + 1];
    let outcome = bench.session.encrypt(&payload, START, false, &mut bench.scratch, &mut bench.out);
    assert_eq!((outcome, bench.out.len()), (Outcome::Fault(Fault::TooLarge), 0));
    payload.pop();
    let record = bench.record(&payload, START);
    for (outcome, plain) in
        [bench.decrypt(&record, START, false), bench.decrypt_spoiling(&record, START, false)]
    {
        assert!(outcome == FRESH && plain == payload);
    }
    // A byte too many, in the writer's own form.
    let larger = record.replace(r#""Data":""#, r#""Data":"AAAA"#);
    let too_large = (Outcome::Fault(Fault::TooLarge), Vec::new());
    assert!(bench.decrypt(&larger, START, false) == too_large);
    assert!(bench.decrypt_spoiling(&larger, START, false) == too_large);
}

#[test]
fn sessions_and_rings_go_to_any_thread() {
    fn anywhere<T: Send + Sync>() {}
    anywhere::<Session>();
    anywhere::<asherah_core::Ring>();
}

#[test]
fn hits_allocate_nothing() {
    let Bench { session, mut scratch, mut out } = fixture();
    let payload = [1; 8_192];
    let mut plain = [0; 8_192];
    let mut run = || {
        let encrypted = session.encrypt(&payload, START, false, &mut scratch, &mut out);
        let decrypted = session.decrypt(&out, START, false, &mut scratch, &mut plain[..]);
        assert_eq!((encrypted, decrypted), (FRESH, FRESH));
    };
    run();
    assert_eq!(allocation_counter::measure(run).count_total, 0);
}

proptest! {
    #[test]
    fn what_was_encrypted_comes_back(
        partition in "[^\u{0}]{1,30}",
        suffix in prop::sample::select(vec!["", "us-west-2", "d\u{e9}\"_1"]),
        payload in prop::collection::vec(any::<u8>(), 0..2_000),
        seconds in 0..4_000_000_000_i64,
    ) {
        let core = format!("_IK_{partition}_api_catalog");
        let ring = suffixed(suffix);
        let mut bench = Bench::new(&ring, &core);
        let id = bench.session.key_id().to_owned();
        ring.put(&id, CREATED, key(), &forever()).expect("open");
        let now = at(seconds * 1_000 + 999, 5);
        let record = bench.record(&payload, now);
        let value: Value = serde_json::from_str(&record)?;
        prop_assert_eq!(&value["Key"]["Created"], &Value::from(seconds));
        prop_assert_eq!(&value["Key"]["ParentKeyMeta"]["Created"], &Value::from(CREATED));
        prop_assert_eq!(&value["Key"]["ParentKeyMeta"]["KeyId"], &Value::from(id));
        prop_assert_eq!(value.as_object().map(|members| members.len()), Some(2));
        prop_assert_eq!(value["Key"].as_object().map(|members| members.len()), Some(3));
        prop_assert_eq!(bench.decrypt(&record, now, false), (FRESH, payload.clone()));
        prop_assert_eq!(bench.decrypt_spoiling(&record, now, false), (FRESH, payload.clone()));
        // The same record as a database's JSON column gives it back: members sorted, spaces inserted.
        let reordered = serde_json::to_string_pretty(&value)?;
        prop_assert_eq!(bench.decrypt(&reordered, now, false), (FRESH, payload.clone()));
        prop_assert_eq!(bench.decrypt_spoiling(&reordered, now, false), (FRESH, payload));
    }
}
