//! A reader of records made of general parsers, which the tests hold the real one against.

use std::fmt;
use std::marker::PhantomData;

use asherah_core::record::{Buffer, MAX_KEY_ID, MAX_SAFE_INTEGER, SEAL_OVERHEAD, WRAPPED_KEY, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// An object and nothing else: serde would take an array in its place.
#[derive(Debug)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData))
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    key: Object<Envelope>,
    data: String,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(default, deserialize_with = "present")]
    created: Option<i64>,
    key: String,
    parent_key_meta: Object<Meta>,
    #[serde(rename = "Revoked")]
    _revoked: Option<bool>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    key_id: String,
    created: i64,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    i64::deserialize(deserializer).map(Some)
}

/// Created, wrapped key, key id, its created, sealed data.
pub type Said = (Option<i64>, Vec<u8>, String, i64, Vec<u8>);

/// What general parsers make of a record.
pub fn model(text: &[u8]) -> Option<Said> {
    let Object(record) = serde_json::from_slice::<Object<Record>>(text).ok()?;
    let Object(envelope) = record.key;
    let Object(meta) = envelope.parent_key_meta;
    let wrapped = STANDARD.decode(&envelope.key).ok().filter(|wrapped| wrapped.len() == WRAPPED_KEY)?;
    let data = STANDARD.decode(&record.data).ok().filter(|data| data.len() >= SEAL_OVERHEAD)?;
    let safe = |value: i64| value.abs() <= MAX_SAFE_INTEGER;
    (envelope.created.is_none_or(safe) && safe(meta.created) && meta.key_id.len() <= MAX_KEY_ID).then_some((
        envelope.created,
        wrapped,
        meta.key_id,
        meta.created,
        data,
    ))
}

/// What the reader makes of it.
pub fn ours(text: &[u8]) -> Option<Said> {
    let mut buffer = Buffer::new();
    let record = read(text, &mut buffer).ok()?;
    Some((
        record.created,
        record.wrapped.to_vec(),
        record.key_id.into_owned(),
        record.key_created,
        record.data.to_vec(),
    ))
}
