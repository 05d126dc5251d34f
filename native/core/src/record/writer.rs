//! Writes a record.

use super::{WRAPPED_KEY, base64};

/// What stands in a record beside the payload.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// When the data row key was made, Unix seconds.
    pub created: i64,
    /// The data row key, sealed under the intermediate key.
    pub wrapped: &'a [u8; WRAPPED_KEY],
    /// The intermediate key's id, as [`escape()`](super::escape()) gives it.
    pub escaped_key_id: &'a str,
    /// When the intermediate key was made, Unix seconds.
    pub key_created: i64,
}

/// Characters of a record that never change, and its two times at their longest.
const FIXED: usize = 100 + 2 * 20 + base64::encoded_len(WRAPPED_KEY);

/// Appends the record of `envelope` and `data` to `out`: compact, in the canonical order (contract.md 2.2).
///
/// Allocates at most once, and not at all when `out` has room.
pub fn write(envelope: &Envelope<'_>, data: &[u8], out: &mut Vec<u8>) {
    out.reserve(FIXED + envelope.escaped_key_id.len() + base64::encoded_len(data.len()));
    out.extend_from_slice(br#"{"Key":{"Created":"#);
    integer(envelope.created, out);
    out.extend_from_slice(br#","Key":""#);
    base64::append(envelope.wrapped, out);
    out.extend_from_slice(br#"","ParentKeyMeta":{"KeyId":""#);
    out.extend_from_slice(envelope.escaped_key_id.as_bytes());
    out.extend_from_slice(br#"","Created":"#);
    integer(envelope.key_created, out);
    out.extend_from_slice(br#"}},"Data":""#);
    base64::append(data, out);
    out.extend_from_slice(br#""}"#);
}

/// Appends the decimal digits of `value`.
fn integer(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        first -= 1;
        digits[first] = b'-';
    }
    out.extend_from_slice(&digits[first..]);
}
