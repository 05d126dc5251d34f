//! What the tests of the record reader share.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part")]

use asherah_core::Fault;
use asherah_core::record::{Buffer, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub const ID: &str = "_IK_tenant-42_api_catalog";
pub const WRAPPED: &str = "NgN+YnaGKUZMl/aMW/hedIGfxNhBFcsdmw1acYfzp0pG80XVDgiQfazc3XtaAtqOEeEPRI9tSa3GmqOK";
pub const DATA: &str = "Yhe2KH1UNSb6wWw2B3CTJxxACOsqTDPffKsMU7qD38tdMWF+4HjvXApGy3AYvhp/";

/// What a record said, owned.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub created: Option<i64>,
    pub wrapped: Vec<u8>,
    pub key_id: String,
    pub key_created: i64,
    pub data: Vec<u8>,
}

pub fn parse(text: impl AsRef<[u8]>) -> Result<Said, Fault> {
    let mut buffer = Buffer::new();
    let record = read(text.as_ref(), &mut buffer)?;
    Ok(Said {
        created: record.created,
        wrapped: record.wrapped.to_vec(),
        key_id: record.key_id.into_owned(),
        key_created: record.key_created,
        data: record.data.to_vec(),
    })
}

pub fn said(created: Option<i64>) -> Said {
    Said {
        created,
        wrapped: STANDARD.decode(WRAPPED).expect("fixture"),
        key_id: ID.to_owned(),
        key_created: 1_795_315_800,
        data: STANDARD.decode(DATA).expect("fixture"),
    }
}

/// A record in the writer's form with each part as given, already JSON.
pub fn record(created: &str, wrapped: &str, key_id: &str, key_created: &str, data: &str) -> String {
    format!(
        r#"{{"Key":{{"Created":{created},"Key":{wrapped},"ParentKeyMeta":{{"KeyId":{key_id},"Created":{key_created}}}}},"Data":{data}}}"#
    )
}

pub fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

pub fn canonical() -> String {
    record("1795315836", &quoted(WRAPPED), &quoted(ID), "1795315800", &quoted(DATA))
}

pub fn every_character_escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect()
}
