//! The common case: a record exactly as [`super::write`] and the Go and Rust implementations write it.

use super::Buffer;
use super::cursor::Cursor;
use super::reader::{Envelope, Parent, key_id, sealed_to_end, wrapped_key};

/// Reads a record in the writer's own form: its key, and how many bytes of the buffer are its data. `None` is not a
/// refusal: the whole reader decides then.
///
/// It takes that one's steps but for the names, which are compared in place: in a small record half of the time would
/// go into finding out what each member is called.
pub(super) fn read<'t>(text: &'t [u8], buffer: &mut Buffer) -> Option<(Envelope<'t>, usize)> {
    let mut cursor = Cursor::new(text);
    cursor.literal(br#"{"Key":{"Created":"#)?;
    let made = cursor.integer().ok()?;
    cursor.literal(br#","Key":"#)?;
    let wrapped = wrapped_key(&mut cursor).ok()?;
    cursor.literal(br#","ParentKeyMeta":{"KeyId":"#)?;
    let key_id = key_id(&mut cursor).ok()?;
    cursor.literal(br#","Created":"#)?;
    let created = cursor.integer().ok()?;
    cursor.literal(br#"}},"Data":"#)?;
    let len = sealed_to_end(&cursor, buffer)?;
    Some((Envelope { created: Some(made), wrapped, parent: Parent { key_id, created } }, len))
}
