//! Keeping the whole process from core dumps and debuggers, for who asks for it.

use asherah_core::Fault;
use napi_derive::napi;

use crate::arguments::guarded;

/// No core files, and no reading of this process's memory by others of the same user (`ptrace`, `/proc/PID/mem`): 0.
///
/// [`Fault::Hardening`] where the system refuses, and on systems other than Linux.
#[napi]
pub fn harden_process() -> f64 {
    guarded(|| harden().map(|()| 0.0))
}

#[cfg(target_os = "linux")]
fn harden() -> Result<(), Fault> {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: lowers a limit of this process; the structure is read during the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) } != 0 {
        return Err(Fault::Hardening);
    }
    // SAFETY: changes an attribute of this process, and no memory.
    if unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } != 0 {
        return Err(Fault::Hardening);
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn harden() -> Result<(), Fault> {
    Err(Fault::Hardening)
}
