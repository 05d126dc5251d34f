//! Which thread of the process is the bridge: the one that loads keys for threads that block meanwhile.
//!
//! JavaScript threads share no variable of their own, and a thread that blocks hears no event, so who is the bridge, and
//! whether it still lives, is kept here.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use asherah_core::memory;
use napi::Env;
use napi_derive::napi;

/// Generation << 2 | phase. A generation is one thread's time as the bridge; the first is 1.
static STATE: AtomicU64 = AtomicU64::new(0);

const NONE: u64 = 0;
const STARTING: u64 = 1;
const READY: u64 = 2;
const PHASE: u64 = 3;

/// Answers the new generation to the one caller that has to start the bridge's thread, 0 to all others.
#[napi]
pub fn bridge_claim(env: Env) -> napi::Result<f64> {
    let state = STATE.load(Ordering::Acquire);
    if state & PHASE != NONE {
        return Ok(0.0);
    }
    let generation = (state >> 2) + 1;
    let claimed =
        STATE.compare_exchange(state, generation << 2 | STARTING, Ordering::AcqRel, Ordering::Acquire);
    if claimed.is_err() {
        return Ok(0.0);
    }
    // A thread that is ended before its bridge listens would leave all others waiting for that bridge.
    env.add_env_cleanup_hook(generation, release_unstarted)?;
    Ok(generation as f64)
}

/// Called by the bridge's thread when it listens. Its end, however it comes, releases the generation.
#[napi]
pub fn bridge_ready(env: Env, generation: f64) -> napi::Result<()> {
    let generation = generation as u64;
    env.add_env_cleanup_hook(generation, release)?;
    let ready = STATE.compare_exchange(
        generation << 2 | STARTING,
        generation << 2 | READY,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    ready.map(|_| ()).map_err(|_| napi::Error::from_reason("this generation of the bridge was released"))
}

/// The generation that listens, or 0.
#[napi]
pub fn bridge_generation() -> f64 {
    let state = STATE.load(Ordering::Acquire);
    if state & PHASE == READY { (state >> 2) as f64 } else { 0.0 }
}

/// Gives a generation up, if it is still the current one: it could not start, or it ended.
#[napi]
pub fn bridge_release(generation: f64) {
    release(generation as u64);
}

fn release_unstarted(generation: u64) {
    let _ = STATE.compare_exchange(
        generation << 2 | STARTING,
        generation << 2 | NONE,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
}

fn release(generation: u64) {
    for phase in [STARTING, READY] {
        let _ = STATE.compare_exchange(
            generation << 2 | phase,
            generation << 2 | NONE,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }
}

/// Random text, one a process: names what only threads of this process may find.
#[napi]
pub fn process_token() -> napi::Result<String> {
    static TOKEN: OnceLock<String> = OnceLock::new();
    if let Some(token) = TOKEN.get() {
        return Ok(token.clone());
    }
    let mut bytes = [0; 16];
    memory::random(&mut bytes).map_err(|fault| napi::Error::from_reason(format!("{fault:?}")))?;
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(TOKEN.get_or_init(|| text).clone())
}
