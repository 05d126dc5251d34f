//! The per-record calls for large payloads: on Node's thread pool, on a copy of the input taken first.
//!
//! The key is looked up before, so that what the control plane must do for it (`miss`, `overdue`, a due check) is known
//! when the call returns, as of a call in line. Such a number, or a fault's, is the answer at once; else a promise of the
//! result, with every plaintext an `ArrayBuffer`, or of the number of a fault found later. Nothing is rejected.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::str;
use std::sync::Arc;

use asherah_core::ring::State;
use asherah_core::{Fault, Outcome, PlaintextSink, Scratch, Session};
use napi::sys;

use crate::edge::{Env, Stop, Value};
use crate::front::{CANARIES, Call, Front, ISOLATE, MISS, OVERDUE, TOLERATE, enter, status};
use crate::plaintext::{Memory, Options, Own};
use crate::records::{MOST_PAYLOAD, MOST_RECORD, NO_BYTES, NO_RECORD, NO_TEXT};
use crate::text;
use crate::wipe::Plain;

/// One call on its way through the thread pool.
#[derive(Debug)]
struct Job {
    session: Session,
    is_ascii: bool,
    task: Task,
    outcome: Outcome,
    /// A count of the thread's state, which only that thread touches.
    front: *const Front,
    deferred: sys::napi_deferred,
    work: sys::napi_async_work,
}

#[derive(Debug)]
enum Task {
    Encrypt { payload: Plain, record: Vec<u8> },
    Decrypt { record: Vec<u8>, place: Place },
    DecryptText { record: Vec<u8>, text: Whole, is_ascii: bool },
}

/// Memory for a plaintext that becomes an `ArrayBuffer` without another copy.
#[derive(Debug)]
struct Place {
    options: Options,
    earlier: Option<Arc<Memory>>,
    own: Option<Own>,
    fault: Option<Fault>,
}

impl PlaintextSink for Place {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        match Own::new(len, self.options, self.earlier.take()) {
            Ok(own) => Some(self.own.insert(own).bytes()),
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }
}

#[derive(Debug, Default)]
struct Whole(Plain);

impl PlaintextSink for Whole {
    fn place(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0.0 = text::take_filled(len);
        Some(&mut self.0.0)
    }
}

/// `encryptOnPool(session, data, mode)`.
pub unsafe extern "C" fn encrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<3>(env, info, |call| {
            let order = Order::of(&call)?;
            let view = call.env.bytes(call.args[1], NO_BYTES)?;
            if view.len() > MOST_PAYLOAD {
                return Err(Fault::TooLarge.into());
            }
            order.look_up_latest(call.front)?;
            let mut payload = Plain::default();
            view.copy_to(&mut payload.0);
            order.start(&call, Task::Encrypt { payload, record: Vec::new() })
        })
    }
}

/// `encryptStringOnPool(session, text, mode)`.
pub unsafe extern "C" fn encrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<3>(env, info, |call| {
            let order = Order::of(&call)?;
            let mut payload = Plain::default();
            if !call.env.text(call.args[1], MOST_PAYLOAD, &mut payload.0)? {
                return Err(Stop::Type(NO_TEXT));
            }
            order.look_up_latest(call.front)?;
            order.start(&call, Task::Encrypt { payload, record: Vec::new() })
        })
    }
}

/// `decryptOnPool(session, record, mode)`.
pub unsafe extern "C" fn decrypt(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<3>(env, info, |call| {
            let order = Order::of(&call)?;
            let record = record_of(&call)?;
            order.look_up_of(&record, call.front)?;
            let options =
                Options { isolated: order.mode & ISOLATE != 0, canaries: order.mode & CANARIES != 0 };
            // About as much as there is to open, base64 taken off.
            let earlier = call.front.state()?.pool.earlier(record.len() / 4 * 3, options);
            let place = Place { options, earlier, own: None, fault: None };
            order.start(&call, Task::Decrypt { record, place })
        })
    }
}

/// `decryptStringOnPool(session, record, mode)`.
pub unsafe extern "C" fn decrypt_string(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> sys::napi_value {
    // SAFETY: registered with the environment's front.
    unsafe {
        enter::<3>(env, info, |call| {
            let order = Order::of(&call)?;
            let record = record_of(&call)?;
            order.look_up_of(&record, call.front)?;
            order.start(&call, Task::DecryptText { record, text: Whole::default(), is_ascii: false })
        })
    }
}

fn record_of(call: &Call<'_, 3>) -> Result<Vec<u8>, Stop> {
    let mut record = Vec::new();
    if call.env.text(call.args[1], MOST_RECORD, &mut record)? {
        return Ok(record);
    }
    let view = call.env.bytes(call.args[1], NO_RECORD)?;
    if view.len() > MOST_RECORD {
        return Err(Fault::TooLarge.into());
    }
    view.copy_to(&mut record);
    Ok(record)
}

/// Takes no plaintext: the question of a look-up is answered before there is one.
struct Refusal {
    was_asked: bool,
}

impl PlaintextSink for Refusal {
    fn place(&mut self, _len: usize) -> Option<&mut [u8]> {
        self.was_asked = true;
        None
    }
}

/// What a call asks for, but for its input.
struct Order {
    session: Session,
    is_ascii: bool,
    mode: i32,
}

impl Order {
    fn of(call: &Call<'_, 3>) -> Result<Order, Stop> {
        let state = call.front.state()?;
        let seat = state.sessions.get(call.env.number(call.args[0])?)?;
        let (session, is_ascii) = (seat.session.clone(), seat.is_ascii);
        Ok(Order { session, is_ascii, mode: call.env.bits(call.args[2])? })
    }

    fn is_tolerant(&self) -> bool {
        self.mode & TOLERATE != 0
    }

    /// Whether the partition's latest key can be used.
    fn look_up_latest(&self, front: &Front) -> Result<(), Stop> {
        let ring = self.session.ring();
        let now = ring.now();
        let found = ring.get(self.session.key_id(), None, now);
        let usable = found.filter(|entry| !entry.revoked && now.wall_ms < entry.expires_at_ms);
        let mut state = front.state()?;
        state.tell(usable.as_ref().is_some_and(|entry| entry.state == State::Due));
        match usable {
            None if ring.is_closed() => Err(Fault::Closed.into()),
            None => Err(Stop::Status(MISS)),
            Some(entry) if entry.state == State::Overdue && !self.is_tolerant() => Err(Stop::Status(OVERDUE)),
            Some(_) => Ok(()),
        }
    }

    /// Whether the key that a record names can be used.
    fn look_up_of(&self, record: &[u8], front: &Front) -> Result<(), Stop> {
        match self.look_up_in(&without_data(record).unwrap_or_default(), front) {
            // Not the usual form, or no record at all.
            Err(Stop::Status(number)) if number == Fault::RecordMalformed as i32 => {
                self.look_up_in(record, front)
            }
            other => other,
        }
    }

    fn look_up_in(&self, record: &[u8], front: &Front) -> Result<(), Stop> {
        let state = &mut *front.state()?;
        let mut sink = Refusal { was_asked: false };
        let now = self.session.ring().now();
        // The outcome cannot tell that a check is due, since there is no result; a question left open in an empty scratch
        // does.
        state.scratch = Scratch::new();
        let outcome = self.session.decrypt(record, now, self.is_tolerant(), &mut state.scratch, &mut sink);
        if sink.was_asked {
            let due = !state.scratch.question().key_id.is_empty();
            state.tell(due);
            return Ok(());
        }
        state.tell(false);
        Err(Stop::Status(status(outcome)))
    }

    fn start<'s>(self, call: &Call<'s, 3>, task: Task) -> Result<Value<'s>, Stop> {
        let env = call.env;
        let Order { session, is_ascii, .. } = self;
        let mut job = Box::new(Job {
            session,
            is_ascii,
            task,
            outcome: Outcome::Fault(Fault::Panic),
            front: call.front,
            deferred: ptr::null_mut(),
            work: ptr::null_mut(),
        });
        let name = env.string(b"asherah", true)?;
        // SAFETY: a live environment and a place for the answer.
        let promise =
            env.create(|promise| unsafe { sys::napi_create_promise(env.raw(), &mut job.deferred, promise) })?;
        let data = &raw mut *job;
        // SAFETY: a live environment; the job outlives the work, because `complete` is what frees it.
        env.check(unsafe {
            sys::napi_create_async_work(
                env.raw(),
                ptr::null_mut(),
                name.raw(),
                Some(execute),
                Some(complete),
                data.cast(),
                &mut job.work,
            )
        })?;
        // SAFETY: just made, and not queued before.
        let queued = env.check(unsafe { sys::napi_queue_async_work(env.raw(), job.work) });
        if let Err(stop) = queued {
            // SAFETY: not queued, so nobody uses it.
            unsafe { sys::napi_delete_async_work(env.raw(), job.work) };
            return Err(stop);
        }
        // SAFETY: the front is in an `Rc` made by `Front::create`; `complete` gives this count back.
        unsafe { Rc::increment_strong_count(job.front) };
        let _ = Box::into_raw(job);
        Ok(promise)
    }
}

/// The usual form of a record with the shortest `Data` that there is in the place of its own, so that what names the key
/// is read without decoding the rest.
fn without_data(record: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 8 << 10;
    const MARK: &[u8] = br#"},"Data":""#;
    // 28 zero bytes: an empty payload's tag and nonce.
    const SHORTEST: &[u8] = br#"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="}"#;
    let head = &record[..record.len().min(HEAD)];
    let end = head.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    Some([&head[..end], SHORTEST].concat())
}

/// On a thread of the pool, which touches nothing of JavaScript's.
unsafe extern "C" fn execute(_env: sys::napi_env, data: *mut c_void) {
    // SAFETY: the job of `start`, which nobody else touches until `complete`.
    let job = unsafe { &mut *data.cast::<Job>() };
    job.outcome = catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or(Outcome::Fault(Fault::Panic));
}

impl Job {
    fn run(&mut self) -> Outcome {
        let now = self.session.ring().now();
        let session = &self.session;
        let scratch = &mut Scratch::new();
        // The key was found usable when the call was made.
        let tolerant = true;
        match &mut self.task {
            Task::Encrypt { payload, record } => {
                *record = text::take(text::room_for_record(payload.0.len()));
                let outcome = session.encrypt(&payload.0, now, tolerant, scratch, record);
                payload.clear(0);
                outcome
            }
            Task::Decrypt { record, place } => {
                let outcome = session.decrypt_spoiling(record, now, tolerant, scratch, place);
                text::give(std::mem::take(record));
                place.fault.map_or(outcome, Outcome::Fault)
            }
            Task::DecryptText { record, text, is_ascii } => {
                let outcome = session.decrypt_spoiling(record, now, tolerant, scratch, text);
                text::give(std::mem::take(record));
                *is_ascii = text.0.0.is_ascii();
                if !*is_ascii && str::from_utf8(&text.0.0).is_err() {
                    return Outcome::Fault(Fault::NotUtf8);
                }
                outcome
            }
        }
    }

    /// The promise's value.
    fn answer<'s>(self, env: Env<'s>, front: &Front) -> Result<Value<'s>, Stop> {
        let number = status(self.outcome);
        let failed = number != 0;
        match self.task {
            Task::Encrypt { .. } | Task::DecryptText { .. } if failed => env.int(number),
            Task::Encrypt { record, .. } => text::string(env, record, self.is_ascii, false),
            Task::DecryptText { mut text, is_ascii, .. } => {
                text::string(env, std::mem::take(&mut text.0.0), is_ascii, true)
            }
            Task::Decrypt { place, .. } => match place.own {
                Some(own) if !failed => front.state()?.pool.give(env, own, place.options.canaries),
                _ => env.int(if failed { number } else { Fault::Panic as i32 }),
            },
        }
    }
}

/// On the JavaScript thread again, which may be ending: then nothing that is tried here has an effect.
unsafe extern "C" fn complete(env: sys::napi_env, _status: sys::napi_status, data: *mut c_void) {
    // SAFETY: the job of `start`, given back once.
    let job = unsafe { Box::from_raw(data.cast::<Job>()) };
    // SAFETY: the count that `start` took.
    let front = unsafe { Rc::from_raw(job.front) };
    let (deferred, work) = (job.deferred, job.work);
    // SAFETY: Node has opened a handle scope around this.
    let scope = unsafe { Env::from_raw(env) };
    let run =
        AssertUnwindSafe(|| job.answer(scope, &front).or_else(|stop| scope.int(number_of(scope, &stop))));
    let answer =
        catch_unwind(run).map_or(ptr::null_mut(), |answer| answer.map_or(ptr::null_mut(), Value::raw));
    // SAFETY: a live environment, its promise, resolved once, and its work, which is over.
    unsafe {
        if !answer.is_null() {
            sys::napi_resolve_deferred(env, deferred, answer);
        }
        sys::napi_delete_async_work(env, work);
    }
}

/// Why a result could not be made. An exception, which a string above the engine's limit causes, becomes a number too.
#[cold]
fn number_of(env: Env<'_>, stop: &Stop) -> i32 {
    match stop {
        Stop::Status(number) => *number,
        Stop::Type(_) => Fault::Panic as i32,
        Stop::Thrown if env.forget_exception() => Fault::TooLarge as i32,
        Stop::Thrown => Fault::Panic as i32,
    }
}
