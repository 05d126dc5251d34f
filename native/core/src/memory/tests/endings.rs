//! Forked children and the end of the process.

use std::sync::OnceLock;

use super::super::Key;
use super::{all_zero, arena, children, operations};
use crate::status::Fault;

/// A key and what it made, made before the process forks or ends.
struct Before {
    key: Key,
    wrapped: [u8; 60],
    record: ([u8; 60], [u8; 33]),
}

fn before() -> Before {
    let key = Key::generate().expect("generated");
    let wrapped = key.wrap(&Key::generate().expect("generated")).expect("wrapped");
    let mut data = [0; 33];
    let drk = key.seal_record(b"hello", &mut data).expect("sealed");
    Before { key, wrapped, record: (drk, data) }
}

/// Exit code of a process in which everything has to be refused: 0 when it is.
fn refused(before: &Before, fault: Fault) -> i32 {
    let Before { key, wrapped, record } = before;
    let mut answers = operations(key, wrapped, (&record.0, &record.1));
    if let Some(wrong) = answers.position(|answer| answer != Err(fault)) {
        return 10 + i32::try_from(wrong).unwrap_or(0);
    }
    if all_zero() { 0 } else { 9 }
}

fn exit_code_of(process: libc::pid_t) -> Option<i32> {
    assert!(process > 0, "forked");
    let mut status = 0;
    // SAFETY: `status` is valid for writes.
    let waited = unsafe { libc::waitpid(process, &mut status, 0) };
    (waited == process && libc::WIFEXITED(status)).then(|| libc::WEXITSTATUS(status))
}

#[cfg(target_os = "linux")]
#[test]
fn a_forked_child_is_refused_and_reads_no_key() {
    // Without the C library's fork no handler runs in the child: there the sentinel alone has to tell.
    let cases = ["fork", "raw", "fork and exit", "raw and exit"];
    children::pass(module_path!(), "a_forked_child_is_refused_and_reads_no_key", &cases, |case| {
        arena(4);
        let before = before();
        let nothing: libc::c_long = 0;
        // SAFETY: the child only calls what takes no lock and allocates nothing, then ends; a clone with SIGCHLD alone is
        // what fork is.
        let child = unsafe {
            if case.starts_with("fork") {
                libc::fork()
            } else {
                let flags = libc::c_long::from(libc::SIGCHLD);
                libc::syscall(libc::SYS_clone, flags, nothing, nothing, nothing, nothing) as libc::pid_t
            }
        };
        if child == 0 {
            let code = refused(&before, Fault::Forked);
            drop(before);
            // SAFETY: ends the child; `exit` runs the arena's handler, which must leave a child alone.
            unsafe { if case.ends_with("exit") { libc::exit(code) } else { libc::_exit(code) } }
        }
        assert_eq!(exit_code_of(child), Some(0), "10 and more: which operation; 9: pages");
        let Before { key, wrapped, record } = &before;
        let answers: Vec<_> = operations(key, wrapped, (&record.0, &record.1)).collect();
        assert!(answers.iter().all(Result::is_ok), "the parent works on: {answers:?}");
    });
}

#[test]
fn after_the_final_wipe_everything_is_refused_and_zero() {
    static BEFORE: OnceLock<Before> = OnceLock::new();
    /// Registered before the arena's handler, so called after it.
    extern "C" fn look() {
        let code = BEFORE.get().map_or(8, |before| refused(before, Fault::Wiped));
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(code) }
    }
    let test = "after_the_final_wipe_everything_is_refused_and_zero";
    let ends = children::run(module_path!(), test, &["exit", "exit with a thread at work"], |case| {
        // SAFETY: `look` is static.
        assert_eq!(unsafe { libc::atexit(look) }, 0);
        arena(4);
        let before = BEFORE.get_or_init(before);
        assert!(!all_zero());
        if case.ends_with("work") {
            std::thread::spawn(|| {
                let Before { key, record, .. } = before;
                let mut out = [0; 5];
                loop {
                    // Either the right plaintext or the fault; anything else is a code of its own.
                    let result = key.open_record(&record.0, &record.1, &mut out);
                    if result != Err(Fault::Wiped) && (result.is_err() || &out != b"hello") {
                        // SAFETY: ends the process at once.
                        unsafe { libc::_exit(7) }
                    }
                }
            });
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        std::process::exit(77);
    });
    for end in ends {
        assert_eq!(
            end.code,
            Some(0),
            "10 and more: which operation; 9: pages; 7, 8, 77: see the test. {end:?}"
        );
    }
}

#[test]
fn the_end_of_a_thread_wipes_its_own_slots_only() {
    children::pass(module_path!(), "the_end_of_a_thread_wipes_its_own_slots_only", &["thread"], |_| {
        arena(4);
        let before = before();
        let in_use = super::super::status().slots_in_use;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                before.key.seal(b"", &mut [0; 28]).expect("sealed");
                assert_eq!(super::super::status().slots_in_use, in_use + 2);
            });
            // The end of the scope alone does not wait for what a thread drops at its end.
            thread.join().expect("no panic");
        });
        assert_eq!(super::super::status().slots_in_use, in_use);
        let free = super::super::arena::any().expect("made").free_places();
        assert!(free.iter().all(|place| super::slots::is_zero(*place)), "what a thread leaves is zero");
        let Before { key, wrapped, record } = &before;
        let answers: Vec<_> = operations(key, wrapped, (&record.0, &record.1)).collect();
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    });
}
