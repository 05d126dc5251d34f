//! The common case: a record exactly as [`super::write`] and the Go and Rust implementations write it.

use std::ops::Range;

use super::cursor::Cursor;
use super::reader::{Envelope, MAX_SEALED, Parent, decode_sealed, key_id, wrapped_key};
use super::{Buffer, SEAL_OVERHEAD, base64};

/// Reads a record in the writer's own form: its key, and how many bytes of the buffer are its data. `None` is not a
/// refusal: the whole reader decides then.
///
/// It takes that one's steps but for the names, which are compared in place: in a small record half of the time would
/// go into finding out what each member is called.
pub(super) fn read<'t>(text: &'t [u8], buffer: &mut Buffer) -> Option<(Envelope<'t>, usize)> {
    let (envelope, data) = parts(text)?;
    // Nothing but the record's end may follow: its base64 is found without a look at each character.
    Some((envelope, decode_sealed(&text[data], buffer).ok()?))
}

/// The same with the data decoded where its text is: where it is then. `None` leaves the text as it was.
pub(super) fn read_in_place(text: &mut [u8]) -> Option<Range<usize>> {
    let data = parts(text)?.1;
    let within = base64::encoded_len(SEAL_OVERHEAD)..=base64::encoded_len(MAX_SEALED);
    if !within.contains(&data.len()) {
        return None;
    }
    let len = base64::decode_in_place(&mut text[data.clone()])?;
    Some(data.start..data.start + len)
}

/// A record's key, and where its data's text is if nothing but that is in the rest of it.
fn parts(text: &[u8]) -> Option<(Envelope<'_>, Range<usize>)> {
    let (envelope, start) = envelope(text)?;
    let data = text[start..].strip_suffix(br#""}"#)?;
    Some((envelope, start..start + data.len()))
}

/// A record's key, and where its data's text begins.
pub(super) fn envelope(text: &[u8]) -> Option<(Envelope<'_>, usize)> {
    let mut cursor = Cursor::new(text);
    cursor.literal(br#"{"Key":{"Created":"#)?;
    let made = cursor.integer().ok()?;
    cursor.literal(br#","Key":"#)?;
    let wrapped = wrapped_key(&mut cursor).ok()?;
    cursor.literal(br#","ParentKeyMeta":{"KeyId":"#)?;
    let key_id = key_id(&mut cursor).ok()?;
    cursor.literal(br#","Created":"#)?;
    let created = cursor.integer().ok()?;
    cursor.literal(br#"}},"Data":""#)?;
    let envelope = Envelope { created: Some(made), wrapped, parent: Parent { key_id, created } };
    Some((envelope, cursor.at()))
}
