//! Reads a record.

use std::borrow::Cow;

use super::cursor::Cursor;
use super::escape::unescaped_len;
use super::{
    Buffer, MAX_KEY_ID, MAX_PAYLOAD, MAX_SAFE_INTEGER, SEAL_OVERHEAD, WRAPPED_KEY, base64, canonical,
};
use crate::status::Fault;

pub(super) const MALFORMED: Fault = Fault::RecordMalformed;

/// Most bytes of `Data`, decoded.
pub(super) const MAX_SEALED: usize = MAX_PAYLOAD + SEAL_OVERHEAD;
/// Characters of a wrapped data row key.
const WRAPPED_TEXT: usize = base64::encoded_len(WRAPPED_KEY);

/// What a record says. Nothing in it is to be believed before both tags have verified.
#[derive(Debug)]
pub struct DataRowRecord<'t, 'b> {
    /// When the data row key was made, Unix seconds; for information only.
    pub created: Option<i64>,
    /// The data row key, sealed under the intermediate key.
    pub wrapped: [u8; WRAPPED_KEY],
    /// The intermediate key's id.
    pub key_id: Cow<'t, str>,
    /// When the intermediate key was made, Unix seconds.
    pub key_created: i64,
    /// The payload, sealed under the data row key.
    pub data: &'b [u8],
}

impl<'t, 'b> DataRowRecord<'t, 'b> {
    /// A record whose fields came apart, under the rules of [`read`]: `RecordMalformed` for a wrapped key, an id or data of a
    /// length that no record has, or a time beyond 2^53 - 1; `TooLarge` for a payload above [`MAX_PAYLOAD`].
    pub fn of_fields(
        created: i64,
        wrapped: &[u8],
        key_id: &'t str,
        key_created: i64,
        data: &'b [u8],
    ) -> Result<Self, Fault> {
        let is_time = |time: i64| time.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs();
        let wrapped = wrapped.try_into().map_err(|_| MALFORMED)?;
        if key_id.len() > MAX_KEY_ID || !is_time(created) || !is_time(key_created) {
            return Err(MALFORMED);
        }
        match data.len() {
            ..SEAL_OVERHEAD => Err(MALFORMED),
            SEAL_OVERHEAD..=MAX_SEALED => Ok(DataRowRecord {
                created: Some(created),
                wrapped,
                key_id: key_id.into(),
                key_created,
                data,
            }),
            _ => Err(Fault::TooLarge),
        }
    }
}

/// Reads a record and decodes its `Data` into `buffer`.
///
/// Any member order, white space, escapes and unknown members are accepted; duplicate members that mean something, a
/// time that is no integer of at most 2^53 - 1, and base64 that is not canonical are `RecordMalformed`. A payload
/// above [`MAX_PAYLOAD`] is `TooLarge`, before anything is allocated for it.
pub fn read<'t, 'b>(text: &'t [u8], buffer: &'b mut Buffer) -> Result<DataRowRecord<'t, 'b>, Fault> {
    let (Envelope { created, wrapped, parent }, len) = match canonical::read(text, buffer) {
        Some(parts) => parts,
        None => any(text, buffer)?,
    };
    let Parent { key_id, created: key_created } = parent;
    Ok(DataRowRecord { created, wrapped, key_id, key_created, data: buffer.filled(len) })
}

/// The same for a large record, whose `Data` is decoded where it stands if the record is in the writer's own form: the text
/// holds the sealed payload then, and is a record no more.
///
/// Decoded elsewhere, 1 MB would be written to, and read from, memory that the second cache has no room for.
pub fn read_in_place<'a>(text: &'a mut [u8], buffer: &'a mut Buffer) -> Result<DataRowRecord<'a, 'a>, Fault> {
    let Some(data) = canonical::read_in_place(text) else { return read(text, buffer) };
    let (head, rest) = text.split_at(data.start);
    let Envelope { created, wrapped, parent } = canonical::envelope(head).ok_or(MALFORMED)?.0;
    let Parent { key_id, created: key_created } = parent;
    Ok(DataRowRecord { created, wrapped, key_id, key_created, data: &rest[..data.len()] })
}

/// A record in any form: its key, and how many bytes of the buffer are its data.
fn any<'t>(text: &'t [u8], buffer: &mut Buffer) -> Result<(Envelope<'t>, usize), Fault> {
    let mut cursor = Cursor::new(text);
    let mut key = None;
    let mut data = None;
    cursor.object(|cursor, name| match name {
        b"Key" => once(&mut key, envelope(cursor)?),
        b"Data" => once(&mut data, sealed(cursor, buffer)?),
        _ => skip(cursor, name),
    })?;
    cursor.end()?;
    Ok((key.ok_or(MALFORMED)?, data.ok_or(MALFORMED)?))
}

/// The record's `Key`.
pub(super) struct Envelope<'t> {
    pub(super) created: Option<i64>,
    pub(super) wrapped: [u8; WRAPPED_KEY],
    pub(super) parent: Parent<'t>,
}

/// The record's `ParentKeyMeta`.
pub(super) struct Parent<'t> {
    pub(super) key_id: Cow<'t, str>,
    pub(super) created: i64,
}

/// Fills a member's place, which must be empty.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Fault> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(MALFORMED),
    }
}

/// Steps over a member that means nothing here.
fn skip(cursor: &mut Cursor<'_>, name: &[u8]) -> Result<(), Fault> {
    std::str::from_utf8(name).map_err(|_| MALFORMED)?;
    cursor.skip()
}

fn envelope<'t>(cursor: &mut Cursor<'t>) -> Result<Envelope<'t>, Fault> {
    let mut created = None;
    let mut wrapped = None;
    let mut parent = None;
    let mut revoked = None;
    cursor.object(|cursor, name| match name {
        b"Created" => once(&mut created, cursor.integer()?),
        b"Key" => once(&mut wrapped, wrapped_key(cursor)?),
        b"ParentKeyMeta" => once(&mut parent, parent_key_meta(cursor)?),
        b"Revoked" => once(&mut revoked, cursor.flag()?),
        _ => skip(cursor, name),
    })?;
    Ok(Envelope { created, wrapped: wrapped.ok_or(MALFORMED)?, parent: parent.ok_or(MALFORMED)? })
}

fn parent_key_meta<'t>(cursor: &mut Cursor<'t>) -> Result<Parent<'t>, Fault> {
    let mut id = None;
    let mut created = None;
    cursor.object(|cursor, name| match name {
        b"KeyId" => once(&mut id, key_id(cursor)?),
        b"Created" => once(&mut created, cursor.integer()?),
        _ => skip(cursor, name),
    })?;
    Ok(Parent { key_id: id.ok_or(MALFORMED)?, created: created.ok_or(MALFORMED)? })
}

pub(super) fn key_id<'t>(cursor: &mut Cursor<'t>) -> Result<Cow<'t, str>, Fault> {
    let id = cursor.string()?.string()?;
    if id.len() <= MAX_KEY_ID { Ok(id) } else { Err(MALFORMED) }
}

pub(super) fn wrapped_key(cursor: &mut Cursor<'_>) -> Result<[u8; WRAPPED_KEY], Fault> {
    let mut wrapped = [0; WRAPPED_KEY];
    // The decoder itself refuses quotes, escapes and control characters, so the common case is not scanned before.
    let text = cursor.inside_string().and_then(<[u8]>::first_chunk::<{ WRAPPED_TEXT + 1 }>);
    if let Some([text @ .., b'"']) = text
        && base64::decode(text, &mut wrapped) == Some(WRAPPED_KEY)
    {
        cursor.step_over_string(WRAPPED_TEXT);
        return Ok(wrapped);
    }
    let text = cursor.string()?.bytes()?;
    if text.len() == WRAPPED_TEXT && base64::decode(&text, &mut wrapped) == Some(WRAPPED_KEY) {
        Ok(wrapped)
    } else {
        Err(MALFORMED)
    }
}

/// `Data`, decoded to the front of `buffer`: how many bytes.
pub(super) fn sealed(cursor: &mut Cursor<'_>, buffer: &mut Buffer) -> Result<usize, Fault> {
    let rest = cursor.inside_string().ok_or(MALFORMED)?;
    if let Some(len) = memchr::memchr(b'"', rest)
        && let Ok(sealed) = decode_sealed(&rest[..len], buffer)
    {
        cursor.step_over_string(len);
        return Ok(sealed);
    }
    let text = cursor.string()?;
    if unescaped_len(text.raw()) > base64::encoded_len(MAX_SEALED) {
        return Err(Fault::TooLarge);
    }
    decode_sealed(&text.bytes()?, buffer)
}

pub(super) fn decode_sealed(text: &[u8], buffer: &mut Buffer) -> Result<usize, Fault> {
    let len = base64::decoded_len(text).ok_or(MALFORMED)?;
    if len > MAX_SEALED {
        return Err(Fault::TooLarge);
    }
    match base64::decode(text, buffer.take(len)) {
        Some(len) if len >= SEAL_OVERHEAD => Ok(len),
        _ => Err(MALFORMED),
    }
}
