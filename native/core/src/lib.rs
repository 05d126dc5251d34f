//! Asherah's data plane: keys in guarded memory, and what is encrypted and decrypted with them.
//!
//! Nothing here reads a network, a disk or a configuration; policy is decided elsewhere.

#![deny(missing_docs)]

mod aead;
pub mod clock;
pub mod gate;
pub mod memory;
pub mod record;
pub mod ring;
pub mod session;
pub mod status;

pub use clock::Now;
pub use ring::{Freshness, Ring, RingOptions, RingStats, Standing};
pub use session::{Outcome, PlaintextSink, Question, Scratch, Session};
pub use status::Fault;
