//! What the record reader refuses (contract.md 2.2, traps 1 to 4 and 14).

mod record_support;

use asherah_core::Fault;
use asherah_core::record::{MAX_KEY_ID, SEAL_OVERHEAD};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use record_support::*;

#[test]
fn refuses_times_that_are_no_integers() {
    for bad in [
        "1.0",
        "1e3",
        "1E3",
        "1.",
        ".1",
        "01",
        "00",
        "-0",
        "-",
        "+1",
        "- 1",
        "\"1\"",
        "null",
        "true",
        "[]",
        "{}",
        "",
        "9007199254740992",
        "-9007199254740992",
        "18446744073709551617",
        "99999999999999999999999999999",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "1795315836 1",
    ] {
        for text in [
            record(bad, &quoted(WRAPPED), &quoted(ID), "1", &quoted(DATA)),
            record("1", &quoted(WRAPPED), &quoted(ID), bad, &quoted(DATA)),
        ] {
            assert_eq!(parse(&text), Err(Fault::RecordMalformed), "{bad}");
        }
    }
}

#[test]
fn refuses_base64_that_is_not_canonical() {
    let short = STANDARD.encode([7; SEAL_OVERHEAD - 1]);
    let wrapped_short = STANDARD.encode([7; 59]);
    let wrapped_long = STANDARD.encode([7; 61]);
    let wrapped_longer = STANDARD.encode([7; 63]);
    for bad in [
        "null",
        "1",
        "[]",
        "{}",
        "true",
        r#""""#,
        r#""====""#,
        r#""AAAA""#,
        r#"" ""#,
        r#""\u0000""#,
        &quoted(&short),
        &quoted(&wrapped_long[..wrapped_long.len() - 2]),
        &quoted(&DATA.replace('/', "_")),
        &quoted(&DATA.replace('+', "-")),
        &quoted(&format!("{DATA}\\n")),
        &quoted(&format!("{DATA}\n")),
        &quoted(&format!(" {DATA}")),
        &quoted(&DATA[..DATA.len() - 1]),
        &quoted(&format!("{DATA}A")),
        &quoted(&format!("{DATA}====")),
        &quoted(&DATA.replace('Y', "\\u00e9")),
        &quoted(&DATA.replace('Y', "\u{e9}")),
        &quoted(&DATA.replace('Y', "\\x")),
        DATA,
    ] {
        for text in [
            record("1", &quoted(WRAPPED), &quoted(ID), "1", bad),
            record("1", bad, &quoted(ID), "1", &quoted(DATA)),
        ] {
            assert_eq!(parse(&text), Err(Fault::RecordMalformed), "{bad}");
        }
    }
    for bad in [
        &wrapped_short,
        &wrapped_long,
        &wrapped_longer,
        &STANDARD.encode([7; 28]),
        &STANDARD.encode([7; 120]),
    ] {
        let text = record("1", &quoted(bad), &quoted(ID), "1", &quoted(DATA));
        assert_eq!(parse(&text), Err(Fault::RecordMalformed), "wrapped {bad}");
    }
}

#[test]
fn refuses_base64_with_stray_trailing_bits_and_takes_each_length() {
    for len in SEAL_OVERHEAD..SEAL_OVERHEAD + 100 {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let text = STANDARD.encode(&bytes);
        let whole = record("1", &quoted(WRAPPED), &quoted(ID), "1", &quoted(&text));
        assert_eq!(parse(&whole).map(|said| said.data), Ok(bytes), "{len}");
        let unpadded = text.trim_end_matches('=');
        if unpadded.len() < text.len() {
            let mut stray = unpadded.as_bytes().to_vec();
            let last = stray.last_mut().expect("not empty");
            // The next character of the alphabet differs in the lowest bit, which stands for nothing here.
            *last = match *last {
                b'Z' => b'a',
                b'z' => b'0',
                b'9' => b'+',
                other => other + 1,
            };
            let stray = String::from_utf8(stray).expect("ASCII") + &text[unpadded.len()..];
            for bad in [stray.as_str(), unpadded, &format!("{unpadded}="), &format!("{unpadded}===")] {
                if *bad == *text {
                    continue;
                }
                let whole = record("1", &quoted(WRAPPED), &quoted(ID), "1", &quoted(bad));
                assert_eq!(parse(&whole), Err(Fault::RecordMalformed), "{len} {bad}");
            }
        }
    }
}

#[test]
fn refuses_wrong_shapes() {
    let meta = format!(r#"{{"KeyId":"{ID}","Created":1}}"#);
    let key = format!(r#"{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{meta}}}"#);
    let data = quoted(DATA);
    let bad = [
        String::new(),
        " ".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "{".to_owned(),
        "\"x\"".to_owned(),
        format!(r#"["Key",{key},"Data",{data}]"#),
        format!(r#"{{"Key":{key}}}"#),
        format!(r#"{{"Data":{data}}}"#),
        format!(r#"{{"Key":null,"Data":{data}}}"#),
        format!(r#"{{"Key":[],"Data":{data}}}"#),
        format!(r#"{{"Key":"{WRAPPED}","Data":{data}}}"#),
        format!(r#"{{"Key":{{}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}"}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Created":1,"ParentKeyMeta":{meta}}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":null}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{{}}}},"Data":{data}}}"#),
        format!(
            r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{{"KeyId":"{ID}"}}}},"Data":{data}}}"#
        ),
        format!(
            r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{{"Created":1}}}},"Data":{data}}}"#
        ),
        format!(
            r#"{{"Key":{{"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{{"KeyId":null,"Created":1}}}},"Data":{data}}}"#
        ),
        // Names are case sensitive.
        format!(r#"{{"key":{key},"Data":{data}}}"#),
        format!(r#"{{"Key":{key},"data":{data}}}"#),
        // Members that mean something, twice: also when one of the names is escaped.
        format!(r#"{{"Key":{key},"Key":{key},"Data":{data}}}"#),
        format!(r#"{{"Key":{key},"Data":{data},"D\u0061ta":{data}}}"#),
        format!(
            r#"{{"Key":{{"Created":1,"Created":1,"Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#
        ),
        format!(r#"{{"Key":{{"Key":"{WRAPPED}","Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#),
        format!(
            r#"{{"Key":{{"Key":"{WRAPPED}","ParentKeyMeta":{meta},"ParentKeyMeta":{meta}}},"Data":{data}}}"#
        ),
        format!(
            r#"{{"Key":{{"Revoked":null,"Revoked":null,"Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#
        ),
        format!(
            r#"{{"Key":{{"Key":"{WRAPPED}","ParentKeyMeta":{{"KeyId":"{ID}","KeyId":"{ID}","Created":1}}}},"Data":{data}}}"#
        ),
        format!(
            r#"{{"Key":{{"Key":"{WRAPPED}","ParentKeyMeta":{{"KeyId":"{ID}","Created":1,"Created":1}}}},"Data":{data}}}"#
        ),
        format!(r#"{{"Key":{{"Revoked":0,"Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Revoked":"false","Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#),
        format!(r#"{{"Key":{{"Revoked":nullx,"Key":"{WRAPPED}","ParentKeyMeta":{meta}}},"Data":{data}}}"#),
        // Syntax.
        format!(r#"{{"Key":{key},"Data":{data}}}x"#),
        format!(r#"{{"Key":{key},"Data":{data}}}{{}}"#),
        format!(r#"{{"Key":{key},"Data":{data},}}"#),
        format!(r#"{{,"Key":{key},"Data":{data}}}"#),
        format!(r#"{{"Key":{key}"Data":{data}}}"#),
        format!(r#"{{"Key":{key},,"Data":{data}}}"#),
        format!(r#"{{"Key"={key},"Data":{data}}}"#),
        format!(r#"{{"Key":{key},"Data":{data}]"#),
        format!(r#"{{'Key':{key},"Data":{data}}}"#),
        format!(r#"{{Key:{key},"Data":{data}}}"#),
        format!(r#"{{"Key":{key},/**/"Data":{data}}}"#),
        format!("\u{feff}{{\"Key\":{key},\"Data\":{data}}}"),
        format!("{{\"Key\":{key},\u{a0}\"Data\":{data}}}"),
        format!("{{\"Key\":{key},\u{b}\"Data\":{data}}}"),
        format!("{{\"Key\":{key},\"Data\":{data}}}\0"),
    ];
    for text in bad {
        assert_eq!(parse(&text), Err(Fault::RecordMalformed), "{text}");
    }
}

#[test]
fn refuses_unknown_members_that_are_not_json() {
    let with = |value: &str| canonical().replacen('{', &format!("{{\"x\":{value},"), 1);
    assert!(parse(with("1")).is_ok());
    for bad in [
        "",
        "tru",
        "True",
        "nul",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-",
        "+1",
        "1..2",
        "\"",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[}",
        "{",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{1:2}",
        "{\"a\":1]",
        "[\"a\":1]",
        "[1}",
        "{\"a\" 1}",
        "]",
        "}",
        "NaN",
        "undefined",
        "'a'",
    ] {
        assert_eq!(parse(with(bad)), Err(Fault::RecordMalformed), "{bad}");
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |open: &str, close: &str, depth: usize| {
        let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        parse(canonical().replacen('{', &format!("{{\"x\":{value},"), 1)).map(|_| ())
    };
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let levels = open.matches(['[', '{']).count();
        assert_eq!(nested(open, close, 64 / levels), Ok(()), "{open}");
        assert_eq!(nested(open, close, 64 / levels + 1), Err(Fault::RecordMalformed), "{open}");
        assert_eq!(nested(open, close, 1_000_000), Err(Fault::RecordMalformed), "{open}");
    }
}

#[test]
fn refuses_ids_and_names_that_are_no_text() {
    let place = |id: &[u8]| {
        let text = record("1", &quoted(WRAPPED), "\"@\"", "1", &quoted(DATA));
        let at = text.find('@').expect("placeholder");
        [&text.as_bytes()[..at], id, &text.as_bytes()[at + 1..]].concat()
    };
    assert!(parse(place("_IK_\u{e9}".as_bytes())).is_ok());
    for bad in [
        b"\xff".as_slice(),
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        b"\x00",
        b"\x1f",
        b"a\nb",
        b"a\tb",
        b"\\ud800",
        b"\\udc00",
        b"\\ud800\\ud800",
        b"\\ud800x",
        b"\\ud800\\n",
        b"\\ude00\\ud83d",
        b"\\ud83d\\u0041",
        b"\\ud83d\\u",
        b"\\u",
        b"\\u00",
        b"\\q",
        b"\\",
        b"12345678\xff",
        b"1234567\x01",
        b"\\u0041\xff",
    ] {
        assert_eq!(parse(place(bad)), Err(Fault::RecordMalformed), "{bad:?}");
        let name = [b"{\"", bad, b"\":1,", &canonical().as_bytes()[1..]].concat();
        assert_eq!(parse(name), Err(Fault::RecordMalformed), "name {bad:?}");
    }
    assert!(parse(place("x".repeat(MAX_KEY_ID).as_bytes())).is_ok());
    assert_eq!(parse(place("x".repeat(MAX_KEY_ID + 1).as_bytes())), Err(Fault::RecordMalformed));
    assert!(parse(place("\\u0041".repeat(MAX_KEY_ID).as_bytes())).is_ok());
    assert_eq!(parse(place("\\u0041".repeat(MAX_KEY_ID + 1).as_bytes())), Err(Fault::RecordMalformed));
}

#[test]
fn a_record_cut_anywhere_is_refused() {
    let text = canonical();
    for len in 0..text.len() {
        assert_eq!(parse(&text[..len]), Err(Fault::RecordMalformed), "{len}");
    }
}
