//! Held against another implementation, at every length that a step can end in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as OTHER;

use super::{append, decode, decoded_len};

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 167 + at / 7 + len) as u8).collect()
}

#[test]
fn every_length_is_encoded_and_decoded_as_elsewhere() {
    for len in (0..400).chain([8_192, 8_193, 65_535]) {
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
