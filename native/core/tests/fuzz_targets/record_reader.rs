//! Any bytes as a record: read as general parsers read them, or refused as they refuse them.

use asherah_core::record::{Buffer, Envelope, escape, read, write};

use crate::model::{model, ours};

/// One input.
pub fn run(text: &[u8]) {
    let said = ours(text);
    // The reader steps over unknown members of 64 levels, the model over more.
    let may_be_deep = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 64;
    if said.is_some() || !may_be_deep {
        assert_eq!(said, model(text));
    }
    let Some((created, wrapped, key_id, key_created, data)) = said else { return };
    // What was read is read again from the writer's form, into memory that still holds another record.
    let mut rewritten = Vec::new();
    let envelope = Envelope {
        created: created.unwrap_or(0),
        wrapped: wrapped.first_chunk().expect("60 bytes"),
        escaped_key_id: &escape(&key_id),
        key_created,
    };
    write(&envelope, &data, &mut rewritten);
    let mut buffer = Buffer::new();
    buffer.take(data.len() + 100).fill(0xaa);
    let again = read(&rewritten, &mut buffer).expect("the writer's form");
    assert_eq!(
        (again.created, &again.wrapped[..], &*again.key_id, again.key_created, again.data),
        (Some(created.unwrap_or(0)), &wrapped[..], &*key_id, key_created, &data[..])
    );
}
