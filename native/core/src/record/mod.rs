//! The DataRowRecord: the JSON text that holds one encrypted payload (contract.md 2.2).
//!
//! Read and written by hand, in one pass and without an intermediate tree: a general JSON parser costs several times
//! what the cipher does at 8 KB. The tests hold the reader against a general parser.

mod base64;
mod buffer;
mod canonical;
mod cursor;
mod escape;
mod reader;
mod writer;

pub use buffer::Buffer;
pub use escape::escape;
pub use reader::{DataRowRecord, read, read_in_place};
pub use writer::{Envelope, write};

/// Most bytes of a payload, in both directions: 64 MiB.
pub const MAX_PAYLOAD: usize = 64 << 20;
/// Most bytes of a key id: 4 KiB.
pub const MAX_KEY_ID: usize = 4 << 10;
/// Bytes of a wrapped data row key: 32 of the key, 16 of the tag, 12 of the nonce.
pub const WRAPPED_KEY: usize = 60;
/// Bytes that sealing adds to a payload: 16 of the tag, 12 of the nonce.
pub const SEAL_OVERHEAD: usize = 28;
/// The largest integer that every reader of a record holds exactly: 2^53 - 1.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;
