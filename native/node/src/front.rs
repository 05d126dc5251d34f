//! What one JavaScript thread has in the addon, and how its raw callbacks are entered and left.

use std::cell::{RefCell, RefMut};
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use asherah_core::{Fault, Outcome, Scratch, Session};
use napi::sys;
use sys::Status::napi_ok as OK;

use crate::edge::{Env, Stop, Value};
use crate::handle::{Kind, Table};
use crate::keys;
use crate::plaintext::Pool;
use crate::rings;
use crate::shared::Owner;
use crate::wipe::Plain;

/// No usable key in the ring: the control plane is to be asked, then the call made again.
pub const MISS: i32 = -101;
/// The key's check is overdue: the control plane is to be asked, then the call made again.
pub const OVERDUE: i32 = -102;

/// Bits of `mode`: use a key whose check is overdue.
pub const TOLERATE: i32 = 1;
/// Give the plaintext memory of its own.
pub const ISOLATE: i32 = 2;
/// Put canaries around the plaintext.
pub const CANARIES: i32 = 4;

/// An open session and what is asked of it on every call.
#[derive(Debug)]
pub struct Seat {
    /// The session.
    pub session: Session,
    /// Whether its records are ASCII, as they are unless the partition's id is not.
    pub is_ascii: bool,
}

/// What one JavaScript thread has in the addon.
#[derive(Debug)]
pub struct State {
    /// Open sessions.
    pub sessions: Table<Seat>,
    /// What the core reuses.
    pub scratch: Scratch,
    /// A record on its way in or out.
    pub record: Vec<u8>,
    /// A plaintext on its way in or out; zeroes between calls.
    pub plain: Plain,
    /// Where decrypted bytes go.
    pub pool: Pool,
    /// Whether the last call found the key due for a check that it is to start.
    pub is_due: bool,
    mailbox: Option<Mailbox>,
}

/// The first numbers of typed arrays.
#[derive(Debug)]
struct Mailbox {
    /// 1 when the last call found the key due for a check that it is to start, else 0.
    due: *mut i32,
    /// When the record that `encryptFields` made last, and its intermediate key, were made: Unix seconds.
    times: *mut f64,
}

/// The state of one environment; its callbacks carry its address.
#[derive(Debug)]
pub struct Front {
    state: RefCell<State>,
    owner: Owner,
}

impl Front {
    /// Makes the state of an environment, which ends with it, as do the rings and keys that it has not given back.
    pub fn create(env: sys::napi_env) -> *const Front {
        static THREADS: AtomicU32 = AtomicU32::new(0);
        let state = State {
            sessions: Table::of_thread(Kind::Session, THREADS.fetch_add(1, Ordering::Relaxed)),
            scratch: Scratch::new(),
            record: Vec::new(),
            plain: Plain::default(),
            pool: Pool::new(),
            is_due: false,
            mailbox: None,
        };
        let front = Rc::into_raw(Rc::new(Front { state: RefCell::new(state), owner: Owner::of(env) }));
        // SAFETY: a live environment; the hook runs once, after the last callback. Were it refused, the state would stay.
        unsafe { sys::napi_add_env_cleanup_hook(env, Some(end), front.cast_mut().cast()) };
        front
    }

    /// The state, which no other call of this thread is using.
    pub fn state(&self) -> Result<RefMut<'_, State>, Stop> {
        self.state.try_borrow_mut().map_err(|_| Fault::Panic.into())
    }
}

unsafe extern "C" fn end(front: *mut c_void) {
    // SAFETY: made by `Front::create`, and this runs once.
    let front = AssertUnwindSafe(unsafe { Rc::from_raw(front.cast_const().cast::<Front>()) });
    let owner = front.owner;
    // A panic must not cross into Node, and nobody is there to be told.
    let _ = catch_unwind(move || drop(front));
    let _ = catch_unwind(|| rings::close_all_of(owner));
    let _ = catch_unwind(|| keys::release_all_of(owner));
}

impl State {
    /// Tells the mailbox's reader what the result does not say, or stops where there is no result.
    #[inline]
    pub fn settle(&mut self, outcome: Outcome) -> Result<(), Stop> {
        self.tell(matches!(outcome, Outcome::Done { due: true, .. }));
        match outcome {
            Outcome::Done { .. } => Ok(()),
            other => Err(Stop::Status(status(other))),
        }
    }

    /// Tells the mailbox's reader whether this call is to start a check of the key.
    #[inline]
    pub fn tell(&mut self, due: bool) {
        self.is_due = due;
        if let Some(Mailbox { due: first, .. }) = &self.mailbox {
            // SAFETY: `attach` keeps the array alive, and JavaScript does not run now.
            unsafe { **first = i32::from(due) };
        }
    }

    /// Tells the mailbox's reader when the record just made, and the key above its own, were made.
    #[inline]
    pub fn tell_times(&mut self, (created, key_created): (i64, i64)) {
        if let Some(Mailbox { times, .. }) = &self.mailbox {
            // SAFETY: as in `tell`; there is room for two.
            unsafe {
                **times = created as f64;
                *times.add(1) = key_created as f64;
            }
        }
    }

    /// Writes to these arrays' first numbers from now on. The library makes the arrays and shows them to nobody else.
    pub fn attach(&mut self, env: Env<'_>, due: Value<'_>, times: Value<'_>) -> Result<(), Stop> {
        let due = held(env, due, sys::TypedarrayType::int32_array, 1)?.cast();
        let times = held(env, times, sys::TypedarrayType::float64_array, 2)?.cast();
        self.mailbox = Some(Mailbox { due, times });
        Ok(())
    }
}

/// Where the numbers of a typed array are that from now on stays as long as the environment.
fn held(
    env: Env<'_>,
    array: Value<'_>,
    wanted: sys::napi_typedarray_type,
    least: usize,
) -> Result<*mut c_void, Stop> {
    let (mut kind, mut len, mut first) = (0, 0, ptr::null_mut());
    // SAFETY: a live environment, a value of it, places for the answers.
    let read = unsafe {
        sys::napi_get_typedarray_info(
            env.raw(),
            array.raw(),
            &mut kind,
            &mut len,
            &mut first,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    if read != OK || kind != wanted || len < least {
        return Err(Stop::Type("an Int32Array and a Float64Array were expected"));
    }
    let mut kept = ptr::null_mut();
    // SAFETY: a live environment and a value of it; the strong reference goes with the environment.
    env.check(unsafe { sys::napi_create_reference(env.raw(), array.raw(), 1, &mut kept) })?;
    Ok(first)
}

/// The number of an outcome without a result.
pub fn status(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Done { .. } => 0,
        Outcome::Miss => MISS,
        Outcome::Overdue => OVERDUE,
        Outcome::Fault(fault) => fault as i32,
    }
}

/// A raw callback's arguments and surroundings. Arguments that were not given are `undefined`.
#[derive(Debug)]
pub struct Call<'s, const N: usize> {
    /// The environment.
    pub env: Env<'s>,
    /// The thread's state.
    pub front: &'s Front,
    /// The arguments.
    pub args: [Value<'s>; N],
    given: usize,
}

impl<'s, const N: usize> Call<'s, N> {
    /// The arguments that were given.
    pub fn given(&self) -> &[Value<'s>] {
        &self.args[..self.given.min(N)]
    }
}

/// Runs a raw callback: reads its arguments, turns a fault into its number, and lets no panic into Node.
///
/// # Safety
///
/// Node calls this with `env` and `info`, for a function whose data is the environment's [`Front`].
#[inline]
pub unsafe fn enter<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: impl for<'s> FnOnce(Call<'s, N>) -> Result<Value<'s>, Stop>,
) -> sys::napi_value {
    let run = || {
        let (mut given, mut args, mut front) = (N, [ptr::null_mut(); N], ptr::null_mut());
        // SAFETY: the caller's promise; places for the answers.
        let read = unsafe {
            sys::napi_get_cb_info(env, info, &mut given, args.as_mut_ptr(), ptr::null_mut(), &mut front)
        };
        if read != OK {
            return Err(Stop::Type("the call could not be read"));
        }
        // SAFETY: the caller's promise: the front lives as long as the environment, and the values as long as the call.
        let call = unsafe {
            Call {
                env: Env::from_raw(env),
                front: &*front.cast::<Front>(),
                args: args.map(|raw| Value::from_raw(raw)),
                given,
            }
        };
        body(call).map(Value::raw)
    };
    let stop = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => return value,
        Ok(Err(stop)) => stop,
        Err(_) => Fault::Panic.into(),
    };
    // SAFETY: as above.
    leave(unsafe { Env::from_raw(env) }, &stop)
}

#[cold]
fn leave(env: Env<'_>, stop: &Stop) -> sys::napi_value {
    match stop {
        Stop::Status(number) => env.int(*number).map_or(ptr::null_mut(), Value::raw),
        Stop::Thrown => ptr::null_mut(),
        Stop::Type(message) => {
            let code = b"ERR_INVALID_ARG_TYPE";
            let make = |text: &[u8]| env.string(text, true).map_or(ptr::null_mut(), Value::raw);
            let (code, message) = (make(code), make(message.as_bytes()));
            let mut error = ptr::null_mut();
            // SAFETY: a live environment and strings of it; a failure leaves null, and `undefined` is the result.
            unsafe {
                if sys::napi_create_type_error(env.raw(), code, message, &mut error) == OK {
                    sys::napi_throw(env.raw(), error);
                }
            }
            ptr::null_mut()
        }
    }
}
