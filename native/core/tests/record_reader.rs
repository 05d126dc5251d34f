//! What the record reader takes (contract.md 2.2, traps 1 to 4 and 14).

mod record_support;

use asherah_core::Fault;
use asherah_core::record::{Buffer, MAX_PAYLOAD, SEAL_OVERHEAD, read};
use record_support::*;

#[test]
fn takes_every_form_of_the_same_record() {
    let meta = format!(r#"{{"KeyId":"{ID}","Created":1795315800}}"#);
    let forms = [
        ("canonical order", canonical()),
        (
            "other order",
            format!(
                r#"{{"Data":"{DATA}","Key":{{"ParentKeyMeta":{{"Created":1795315800,"KeyId":"{ID}"}},"Key":"{WRAPPED}","Created":1795315836}}}}"#
            ),
        ),
        (
            "white space of all four kinds",
            format!(
                " \t\r\n{{ \"Key\" :\n{{\t\"Created\" : 1795315836 , \"Key\"\r: \"{WRAPPED}\" ,\n\"ParentKeyMeta\" : {{ \"KeyId\" : \"{ID}\" , \"Created\" : 1795315800 }} }} , \"Data\" : \"{DATA}\" }}\r\n\t "
            ),
        ),
        (
            "unknown members of every kind, the same ones twice",
            format!(
                r#"{{"a":null,"a":{{"Key":[{{}},[],[[1,-2.5e+3,0.1,1E9,-0]],"\ud800\"",true,false]}},"Key":{{"Id":"x","Created":1795315836,"Key":"{WRAPPED}","ParentKeyMeta":{{"x":[],"KeyId":"{ID}","y":{{}},"Created":1795315800}}}},"key":1,"DATA":2,"Data":"{DATA}","Revoked":7}}"#
            ),
        ),
        (
            "names with escapes",
            format!(
                r#"{{"\u004bey":{{"Cre\u0061ted":1795315836,"\u004B\u0065\u0079":"{WRAPPED}","Parent\u004beyMeta":{{"Key\u0049d":"{ID}","Create\u0064":1795315800}}}},"{}":"{DATA}"}}"#,
                every_character_escaped("Data")
            ),
        ),
        (
            "values with escapes",
            record(
                "1795315836",
                &quoted(&WRAPPED.replace('/', "\\/").replace('+', "\\u002b")),
                &quoted(&every_character_escaped(ID)),
                "1795315800",
                &quoted(&DATA.replace('/', "\\/").replace('+', "\\u002B")),
            ),
        ),
        (
            "values with every character escaped",
            record(
                "1795315836",
                &quoted(&every_character_escaped(WRAPPED)),
                &quoted(&every_character_escaped(ID)),
                "1795315800",
                &quoted(&every_character_escaped(DATA)),
            ),
        ),
    ];
    for (name, text) in forms {
        assert_eq!(parse(&text), Ok(said(Some(1_795_315_836))), "{name}");
    }
    for revoked in ["true", "false", "null"] {
        let text = format!(
            r#"{{"Key":{{"Revoked":{revoked},"Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":"{DATA}"}}"#
        );
        assert_eq!(parse(&text), Ok(said(None)), "Revoked {revoked}, no Created");
    }
}

#[test]
fn reads_key_ids_as_other_writers_escape_them() {
    for (escaped, plain) in [
        (r"_IK_a\u0026b_s_p", "_IK_a&b_s_p"),
        (r"_IK_\u00e9\u4e2d_s_p", "_IK_\u{e9}\u{4e2d}_s_p"),
        (r"_IK_\ud83d\ude00_s_p", "_IK_\u{1f600}_s_p"),
        (r"_IK_\uD83D\uDE00_s_p", "_IK_\u{1f600}_s_p"),
        (r#"_IK_\"\\\/\b\f\n\r\t_s_p"#, "_IK_\"\\/\u{8}\u{c}\n\r\t_s_p"),
        (r"_IK_\u0000_s_p", "_IK_\0_s_p"),
        ("_IK_\u{e9}\u{1f600}\u{2028}_s_p", "_IK_\u{e9}\u{1f600}\u{2028}_s_p"),
        ("_IK_\u{7f}_s_p", "_IK_\u{7f}_s_p"),
        ("", ""),
    ] {
        let text = record("1", &quoted(WRAPPED), &quoted(escaped), "1", &quoted(DATA));
        assert_eq!(parse(&text).map(|said| said.key_id), Ok(plain.to_owned()), "{escaped}");
    }
}

#[test]
fn borrows_a_key_id_that_has_no_escapes() {
    let text = canonical();
    let mut buffer = Buffer::new();
    let record = read(text.as_bytes(), &mut buffer).expect("canonical");
    assert!(matches!(record.key_id, std::borrow::Cow::Borrowed(ID)));
}

#[test]
fn takes_the_integers_that_every_reader_holds() {
    for (text, value) in [
        ("0", 0),
        ("-1", -1),
        ("9007199254740991", 9_007_199_254_740_991),
        ("-9007199254740991", -9_007_199_254_740_991),
    ] {
        let both = record(text, &quoted(WRAPPED), &quoted(ID), text, &quoted(DATA));
        let said = parse(&both).expect(text);
        assert_eq!((said.created, said.key_created), (Some(value), value), "{text}");
    }
}

#[test]
fn the_payload_limit_is_exact_and_costs_nothing() {
    let limit = MAX_PAYLOAD + SEAL_OVERHEAD;
    let of = |len: usize, first: &str| {
        let tail = ["", "/w==", "//8="][len % 3];
        let text = [first, &"/".repeat(len / 3 * 4 - 1), tail].concat();
        record("1", &quoted(WRAPPED), &quoted(ID), "1", &quoted(&text))
    };
    let mut buffer = Buffer::new();
    assert_eq!(
        read(of(limit, "\\/").as_bytes(), &mut buffer).map(|record| record.data.len()).ok(),
        Some(limit)
    );
    // An escaped text whose length alone does not tell is copied once.
    for (len, first, copies) in [(limit + 1, "/", 0), (limit + 1, "\\/", 1), (limit + 2, "\\/", 0)] {
        let text = of(len, first);
        let mut fault = None;
        let used = allocation_counter::measure(|| {
            fault = read(text.as_bytes(), &mut Buffer::new()).err();
        });
        assert_eq!(fault, Some(Fault::TooLarge), "{len} {first}");
        assert!(used.bytes_max <= copies * text.len() as u64, "{len} {first}: {used:?}");
    }
}
