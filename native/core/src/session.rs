//! One partition's encryption and decryption over the ring.

use std::fmt;
use std::sync::Arc;

use crate::clock::Now;
use crate::memory;
use crate::record::{self, Buffer, DataRowRecord, Envelope, MAX_PAYLOAD, SEAL_OVERHEAD};
use crate::ring::{Answer, Cell, Ring, Verdict};
use crate::status::Fault;

/// Where a plaintext goes: the caller's own memory for plaintexts, and nowhere else.
pub trait PlaintextSink {
    /// Exactly `len` bytes to write the plaintext into, or `None` when there is no room. They are zero if the call
    /// fails after this.
    fn place(&mut self, len: usize) -> Option<&mut [u8]>;
}

/// A fixed region takes what fits into its front.
impl PlaintextSink for [u8] {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        self.get_mut(..len)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The result is in its place.
    Done {
        /// A check of the key is due, and this caller is the one to ask for it.
        due: bool,
        /// The key's check was outstanding.
        stale: bool,
    },
    /// No usable key in the ring: ask the control plane, then call again.
    Miss,
    /// The key's check is overdue: ask the control plane, then call again.
    Overdue,
    /// The call cannot succeed.
    Fault(Fault),
}

/// Which key a decryption asked for: what the control plane is to be asked after `Miss`, `Overdue` or a `due` check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The intermediate key's id; it has passed the partition gate.
    pub key_id: String,
    /// When that key was made, Unix seconds.
    pub created: i64,
}

/// What calls reuse from one to the next: each thread has its own.
#[derive(Debug, Default)]
pub struct Scratch {
    sealed: Buffer,
    question: Question,
}

impl Scratch {
    /// Empty; it allocates when it is first needed.
    #[must_use]
    pub const fn new() -> Scratch {
        Scratch { sealed: Buffer::new(), question: Question { key_id: String::new(), created: 0 } }
    }

    /// What the last decryption asked for, if that ended in `Miss`, `Overdue` or `Done { due: true, .. }`.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }
}

/// One partition over a ring. Cheap to clone; any thread may use it.
#[derive(Clone)]
pub struct Session {
    pin: Arc<Pin>,
}

/// The partition's cell, held in the ring's map for as long as the session lives.
struct Pin {
    ring: Arc<Ring>,
    /// `None` only while it is given back.
    cell: Option<Arc<Cell>>,
    /// Bytes of the own id without its suffix.
    core_len: usize,
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            self.ring.unpin(cell);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// A session of the partition whose id without suffix is `core_id`: `_IK_{partition}_{service}_{product}`.
    ///
    /// `Closed` after the ring was closed; `RecordMalformed` for an id that no record could name, of over 4 KiB.
    pub fn open(ring: &Arc<Ring>, core_id: &str) -> Result<Session, Fault> {
        let own_id = ring.gate().own_id(core_id);
        if own_id.len() > record::MAX_KEY_ID {
            return Err(Fault::RecordMalformed);
        }
        let cell = Some(ring.pin(&own_id)?);
        Ok(Session { pin: Arc::new(Pin { ring: Arc::clone(ring), cell, core_len: core_id.len() }) })
    }

    /// The ring that it works over.
    #[must_use]
    pub fn ring(&self) -> &Arc<Ring> {
        &self.pin.ring
    }

    /// The id of the keys that it encrypts with.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.pin.cell.as_deref().map_or("", Cell::id)
    }

    /// Encrypts `payload` with the partition's latest key: the DataRowRecord's JSON takes the place of what `out` held.
    ///
    /// A `tolerant` call uses a key whose check is overdue. Without a result `out` is empty. `TooLarge` above 64 MiB.
    pub fn encrypt(
        &self,
        payload: &[u8],
        now: Now,
        tolerant: bool,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Outcome {
        out.clear();
        self.encrypt_fields(payload, now, tolerant, scratch, |envelope, data| {
            record::write(envelope, data, out)
        })
    }

    /// The same for a protocol that carries a record's fields as they are: `give` gets the envelope and the sealed payload,
    /// and is not called without a result.
    pub fn encrypt_fields(
        &self,
        payload: &[u8],
        now: Now,
        tolerant: bool,
        scratch: &mut Scratch,
        give: impl FnOnce(&Envelope<'_>, &[u8]),
    ) -> Outcome {
        if let Err(fault) = memory::alive() {
            return Outcome::Fault(fault);
        }
        if payload.len() > MAX_PAYLOAD {
            return Outcome::Fault(Fault::TooLarge);
        }
        let Some(cell) = &self.pin.cell else { return Outcome::Fault(Fault::Closed) };
        let hit = match self.count(cell.latest(now, tolerant)) {
            Answer::Hit(hit) => hit,
            other => return self.unanswered(&other),
        };
        let data = scratch.sealed.take(payload.len() + SEAL_OVERHEAD);
        let sealed = hit.key.seal_record(payload, data).map(|wrapped| {
            let envelope = Envelope {
                created: now.wall_seconds(),
                wrapped: &wrapped,
                escaped_key_id: cell.escaped_id(),
                key_created: hit.created,
            };
            give(&envelope, data);
        });
        scratch.sealed.settle();
        done(sealed, hit.verdict)
    }

    /// Decrypts a DataRowRecord of this partition into the place that `sink` gives.
    ///
    /// The gate comes before the ring: `RecordForeign` whether or not the key is in. `RecordMalformed`, `TooLarge`
    /// (also when the sink has no room), `KeyAuthentication` and `DataAuthentication` are the record's own faults.
    pub fn decrypt<S: PlaintextSink + ?Sized>(
        &self,
        record: &[u8],
        now: Now,
        tolerant: bool,
        scratch: &mut Scratch,
        sink: &mut S,
    ) -> Outcome {
        if let Err(fault) = memory::alive() {
            return Outcome::Fault(fault);
        }
        let Scratch { sealed, question } = scratch;
        let outcome = self.open_read(record::read(record, sealed), now, tolerant, question, sink);
        sealed.settle();
        outcome
    }

    /// The same for a large record in memory that is the caller's to spoil: what it holds afterwards is no record any more,
    /// and no plaintext.
    pub fn decrypt_spoiling<S: PlaintextSink + ?Sized>(
        &self,
        record: &mut [u8],
        now: Now,
        tolerant: bool,
        scratch: &mut Scratch,
        sink: &mut S,
    ) -> Outcome {
        if let Err(fault) = memory::alive() {
            return Outcome::Fault(fault);
        }
        let Scratch { sealed, question } = scratch;
        let outcome = self.open_read(record::read_in_place(record, sealed), now, tolerant, question, sink);
        sealed.settle();
        outcome
    }

    /// The same for a record whose fields came apart.
    pub fn decrypt_fields<S: PlaintextSink + ?Sized>(
        &self,
        record: DataRowRecord<'_, '_>,
        now: Now,
        tolerant: bool,
        scratch: &mut Scratch,
        sink: &mut S,
    ) -> Outcome {
        match memory::alive() {
            Ok(()) => self.open_read(Ok(record), now, tolerant, &mut scratch.question, sink),
            Err(fault) => Outcome::Fault(fault),
        }
    }

    /// What every decryption does with what was read, however it came.
    fn open_read<S: PlaintextSink + ?Sized>(
        &self,
        record: Result<DataRowRecord<'_, '_>, Fault>,
        now: Now,
        tolerant: bool,
        question: &mut Question,
        sink: &mut S,
    ) -> Outcome {
        let Some(cell) = &self.pin.cell else { return Outcome::Fault(Fault::Closed) };
        let record = match record {
            Ok(record) => record,
            Err(fault) => return Outcome::Fault(fault),
        };
        let Some(len) = record.data.len().checked_sub(SEAL_OVERHEAD) else {
            return Outcome::Fault(Fault::RecordMalformed);
        };
        let answer = if *record.key_id == *cell.id() {
            cell.exact(record.key_created, now, tolerant)
        } else if self.pin.ring.gate().admits(&cell.id()[..self.pin.core_len], &record.key_id) {
            self.pin.ring.exact(&record.key_id, record.key_created, now, tolerant)
        } else {
            return Outcome::Fault(Fault::RecordForeign);
        };
        let mut ask = || {
            question.key_id.clear();
            question.key_id.push_str(&record.key_id);
            question.created = record.key_created;
        };
        let hit = match self.count(answer) {
            Answer::Hit(hit) => hit,
            other => {
                ask();
                return self.unanswered(&other);
            }
        };
        if hit.verdict == (Verdict::Stale { due: true }) {
            ask();
        }
        let Some(place) = sink.place(len).filter(|place| place.len() == len) else {
            return Outcome::Fault(Fault::TooLarge);
        };
        done(hit.key.open_record(&record.wrapped, record.data, place), hit.verdict)
    }

    fn count(&self, answer: Answer) -> Answer {
        self.pin.ring.count(&answer);
        answer
    }

    /// A closed ring is empty, so only a miss has to ask whether it is.
    fn unanswered(&self, answer: &Answer) -> Outcome {
        match answer {
            Answer::Overdue => Outcome::Overdue,
            _ if self.pin.ring.is_closed() => Outcome::Fault(Fault::Closed),
            _ => Outcome::Miss,
        }
    }
}

fn done(result: Result<(), Fault>, verdict: Verdict) -> Outcome {
    match result {
        Ok(()) => {
            Outcome::Done { due: verdict == Verdict::Stale { due: true }, stale: verdict != Verdict::Fresh }
        }
        Err(fault) => Outcome::Fault(fault),
    }
}
