//! Held against another implementation, at every length that a step can end in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as OTHER;

use super::{append, decode, decode_in_place, decoded_len};

/// Lengths that end in every way, and some of many steps; few under Miri, where each byte costs thousands of times as much.
fn lengths(many_steps: &[usize]) -> Vec<usize> {
    if cfg!(miri) { (0..100).collect() } else { (0..400).chain(many_steps.iter().copied()).collect() }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 167 + at / 7 + len) as u8).collect()
}

#[test]
fn every_length_is_encoded_and_decoded_as_elsewhere() {
    for len in lengths(&[8_192, 8_193, 65_535]) {
        let plain = bytes(len);
        let mut text = b"before".to_vec();
        append(&plain, &mut text);
        assert_eq!(text, format!("before{}", OTHER.encode(&plain)).as_bytes(), "{len} bytes");
        let mut back = vec![0xa5; len + 3];
        assert_eq!(decode(&text[6..], &mut back), Some(len), "{len} bytes");
        assert_eq!((&back[..len], &back[len..]), (&plain[..], &[0xa5; 3][..]), "{len} bytes");
        assert_eq!(decode(&text[6..], &mut vec![0; len.saturating_sub(1)]), (len == 0).then_some(0));
    }
}

#[test]
fn every_byte_at_every_place_is_accepted_or_refused_as_elsewhere() {
    for len in [1, 2, 3, 46, 47, 48, 49, 60, 92, 95, 96, 97] {
        let mut text = OTHER.encode(bytes(len)).into_bytes();
        for at in 0..text.len() {
            let whole = text[at];
            for byte in 0..=255 {
                text[at] = byte;
                let expected = OTHER.decode(&text).ok();
                let mut out = vec![0; decoded_len(&text).unwrap_or(0)];
                let decoded = decode(&text, &mut out).map(|len| out[..len].to_vec());
                assert_eq!(decoded, expected, "{byte} at {at} of {len} bytes");
            }
            text[at] = whole;
        }
    }
}

#[test]
fn lengths_and_padding_that_no_bytes_have_are_refused() {
    for text in
        ["A", "AA", "AAA", "AAAAA", "====", "A===", "AA=A", "AAA=AAAA", "AAAA====", "AB==", "AAB=", "AA\n="]
    {
        let decoded = decode(text.as_bytes(), &mut [0; 16]);
        assert_eq!(decoded.is_some(), OTHER.decode(text).is_ok(), "{text:?}");
        assert_eq!(decoded, None, "{text:?}");
    }
}

#[test]
fn in_place_a_text_is_decoded_as_elsewhere() {
    for len in lengths(&[8_192, 8_193, 65_535, 300_000]) {
        let plain = bytes(len);
        let mut text = OTHER.encode(&plain).into_bytes();
        assert_eq!(decode_in_place(&mut text), Some(len), "{len} bytes");
        assert_eq!(text[..len], plain, "{len} bytes");
    }
}

#[test]
fn in_place_a_text_that_is_refused_is_left_as_it_was() {
    let lengths: &[usize] = &[1, 2, 3, 49, 46, 47, 48, 96, 97, 300, 10_000];
    for &len in lengths.iter().take(if cfg!(miri) { 4 } else { usize::MAX }) {
        let text = OTHER.encode(bytes(len)).into_bytes();
        for at in (0..text.len()).filter(|at| *at < 300 || at % 61 == 0 || text.len() - at < 70) {
            for byte in [b'"', b'\\', b'=', b'-', 0, 0x80, 0xc3, 0xff] {
                let mut changed = text.clone();
                changed[at] = byte;
                if OTHER.decode(&changed).is_ok() {
                    continue;
                }
                let mut given = changed.clone();
                assert_eq!(decode_in_place(&mut given), None, "{byte} at {at} of {len} bytes");
                assert_eq!(given, changed, "{byte} at {at} of {len} bytes");
            }
        }
    }
}

#[test]
fn a_large_text_is_written_right_wherever_it_begins() {
    let plain = bytes(300_001);
    let expected = OTHER.encode(&plain);
    for before in 0..=64 {
        let mut text = vec![b'-'; before];
        append(&plain, &mut text);
        assert_eq!(text[before..], *expected.as_bytes(), "behind {before} bytes");
    }
}
