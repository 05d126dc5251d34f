//! JSON string escapes, both ways (RFC 8259, section 7).

use std::borrow::Cow;

use super::reader::MALFORMED;
use crate::status::Fault;

/// The inside of a JSON string that reads as `text`, with the fewest escapes: `"`, `\` and control characters only.
///
/// Other implementations read key ids without unescaping them, so whatever can stand as it is must.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let is_special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    if !text.bytes().any(is_special) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control @ '\0'..'\u{20}' => {
                let code = control as u32;
                out.push_str(if code < 0x10 { "\\u000" } else { "\\u001" });
                out.push(char::from_digit(code & 0xf, 16).unwrap_or('0'));
            }
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Characters that `raw` stands for, without unescaping it.
pub(super) fn unescaped_len(raw: &[u8]) -> usize {
    let mut len = 0;
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = if rest.get(at + 1) == Some(&b'u') { 6 } else { 2 };
        len += at + 1;
        rest = rest.get(at + escape..).unwrap_or_default();
    }
    len + rest.len()
}

/// What the inside of a JSON string stands for. `raw` has passed [`super::cursor::Cursor::string`].
///
/// `RecordMalformed` for a surrogate without its other half.
pub(super) fn unescape(raw: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let (&kind, after) = rest.split_first().ok_or(MALFORMED)?;
        rest = after;
        let plain = match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (character, after) = unicode(rest)?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
                continue;
            }
            _ => return Err(MALFORMED),
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// The character whose `\u` stands before `rest`, and what follows it: one unit, or a surrogate pair.
fn unicode(rest: &[u8]) -> Result<(char, &[u8]), Fault> {
    let high = unit(rest)?;
    let after = &rest[4..];
    if let Some(character) = char::from_u32(high) {
        return Ok((character, after));
    }
    let tail = after.strip_prefix(b"\\u").ok_or(MALFORMED)?;
    let low = unit(tail)?;
    if high > 0xdbff || !(0xdc00..=0xdfff).contains(&low) {
        return Err(MALFORMED);
    }
    let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    Ok((char::from_u32(code).ok_or(MALFORMED)?, &tail[4..]))
}

/// The value of the first four characters, hexadecimal digits.
fn unit(digits: &[u8]) -> Result<u32, Fault> {
    let digits = digits.get(..4).ok_or(MALFORMED)?;
    digits.iter().try_fold(0, |unit, &digit| {
        let digit = char::from(digit).to_digit(16).ok_or(MALFORMED)?;
        Ok(unit << 4 | digit)
    })
}
