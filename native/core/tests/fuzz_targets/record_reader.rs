//! Any bytes as a record: read as general parsers read them, or refused as they refuse them.

use asherah_core::record::{Buffer, Envelope, escape, read, read_in_place, write};

use crate::model::{model, ours};

/// One input.
pub fn run(text: &[u8]) {
    let said = ours(text);
    // The reader steps over unknown members of 64 levels, the model over more.
    let may_be_deep = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 64;
    if said.is_some() || !may_be_deep {
        assert_eq!(said, model(text));
    }
    // Decoded where it stands, it is the same record, or refused for the same reason.
    let mut spoiled = text.to_vec();
    let (mut there, mut here) = (Buffer::new(), Buffer::new());
    match (read(text, &mut there), read_in_place(&mut spoiled, &mut here)) {
        (Ok(there), Ok(here)) => assert_eq!(
            (there.created, &there.wrapped[..], there.key_id, there.key_created, there.data),
            (here.created, &here.wrapped[..], here.key_id, here.key_created, here.data)
        ),
        (there, here) => assert_eq!(there.err(), here.err()),
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
