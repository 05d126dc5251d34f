//! What the record writer writes (contract.md 2.2).

use asherah_core::record::{Envelope, escape, write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

fn written(created: i64, wrapped: &[u8; 60], key_id: &str, key_created: i64, data: &[u8]) -> String {
    let mut out = Vec::new();
    write(&Envelope { created, wrapped, escaped_key_id: &escape(key_id), key_created }, data, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn writes_the_canonical_text() {
    let wrapped = STANDARD
        .decode("NgN+YnaGKUZMl/aMW/hedIGfxNhBFcsdmw1acYfzp0pG80XVDgiQfazc3XtaAtqOEeEPRI9tSa3GmqOK")
        .expect("fixture");
    let data =
        STANDARD.decode("Yhe2KH1UNSb6wWw2B3CTJxxACOsqTDPffKsMU7qD38tdMWF+4HjvXApGy3AYvhp/").expect("fixture");
    assert_eq!(
        written(
            1_795_315_836,
            wrapped.as_slice().try_into().expect("60 bytes"),
            "_IK_tenant-42_api_catalog",
            1_795_315_800,
            &data
        ),
        r#"{"Key":{"Created":1795315836,"Key":"NgN+YnaGKUZMl/aMW/hedIGfxNhBFcsdmw1acYfzp0pG80XVDgiQfazc3XtaAtqOEeEPRI9tSa3GmqOK","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog","Created":1795315800}},"Data":"Yhe2KH1UNSb6wWw2B3CTJxxACOsqTDPffKsMU7qD38tdMWF+4HjvXApGy3AYvhp/"}"#
    );
}

#[test]
fn escapes_as_little_as_json_allows() {
    for (plain, escaped) in [
        ("", ""),
        ("<a>&'/\u{7f}\u{2028}\u{e9}\u{1f600}", "<a>&'/\u{7f}\u{2028}\u{e9}\u{1f600}"),
        ("\"\\", r#"\"\\"#),
        ("\u{8}\u{c}\n\r\t", r"\b\f\n\r\t"),
        ("\0\u{1}\u{b}\u{f}\u{10}\u{1f}", r"\u0000\u0001\u000b\u000f\u0010\u001f"),
    ] {
        assert_eq!(escape(plain), escaped);
    }
}

#[test]
fn one_allocation_at_most() {
    let mut out = Vec::new();
    let envelope =
        Envelope { created: i64::MIN, wrapped: &[1; 60], escaped_key_id: "_IK_p_s_p", key_created: i64::MIN };
    let first = allocation_counter::measure(|| write(&envelope, &[2; 1_000], &mut out));
    out.clear();
    let second = allocation_counter::measure(|| write(&envelope, &[2; 1_000], &mut out));
    assert_eq!((first.count_total, second.count_total), (1, 0));
}

proptest! {
    #[test]
    fn a_general_parser_reads_what_was_written(
        created: i64,
        key_created: i64,
        key_id: String,
        wrapped in prop::array::uniform32(any::<u8>()),
        data in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut whole = [0; 60];
        whole[..32].copy_from_slice(&wrapped);
        let text = written(created, &whole, &key_id, key_created, &data);
        let value: Value = serde_json::from_str(&text)?;
        prop_assert_eq!(value, json!({
            "Key": {
                "Created": created,
                "Key": STANDARD.encode(whole),
                "ParentKeyMeta": { "KeyId": key_id, "Created": key_created },
            },
            "Data": STANDARD.encode(&data),
        }));
        let order = ["{\"Key\":{\"Created\":", ",\"Key\":\"", "\",\"ParentKeyMeta\":{\"KeyId\":\"", "\"}"];
        let mut rest = text.as_str();
        for part in order {
            let at = rest.find(part);
            prop_assert!(at.is_some());
            rest = &rest[at.unwrap_or_default() + part.len()..];
        }
    }
}
