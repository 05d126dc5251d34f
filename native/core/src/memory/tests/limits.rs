//! Lock limits, in children that gave up `CAP_IPC_LOCK` and root, to which no limit applies.
#![cfg(target_os = "linux")]

use std::sync::Barrier;

use super::super::region::Region;
use super::super::{Key, MemoryOptions, MemoryStatus, os, prepare, random, status};
use super::children;
use crate::status::Fault;

const CAP_IPC_LOCK: libc::c_ulong = 14;
const NOBODY: u32 = 65534;

/// Puts the process under a lock limit that binds it.
fn limit(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: plain system calls on this child process.
    unsafe {
        assert_eq!(
            libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit),
            0,
            "the hard limit is lower than the test needs"
        );
        if libc::geteuid() == 0 {
            assert_eq!(libc::prctl(libc::PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0), 0);
            assert_eq!(libc::setresgid(NOBODY, NOBODY, NOBODY), 0);
            assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
        }
        assert_ne!(libc::geteuid(), 0);
    }
    let own = kernel("CapEff:");
    assert_eq!(
        u64::from_str_radix(&own, 16).expect("hexadecimal") >> CAP_IPC_LOCK & 1,
        0,
        "CAP_IPC_LOCK is left"
    );
    assert_eq!(status().lock_limit_bytes, Some(bytes));
}

/// One line of what the kernel says about this thread.
fn kernel(line: &str) -> String {
    let own = std::fs::read_to_string("/proc/thread-self/status").expect("Linux has a status");
    let found = own.lines().find_map(|text| text.strip_prefix(line)).expect("the kernel has such a line");
    found.trim().trim_end_matches(" kB").to_owned()
}

fn locked_by_kernel() -> u64 {
    kernel("VmLck:").parse::<u64>().expect("a number") * 1024
}

fn ask(hot_slots: usize, require_locked: bool) -> Result<(), Fault> {
    prepare(&MemoryOptions { hot_slots, require_locked })
}

fn works() {
    let key = Key::generate().expect("generated");
    let mut data = [0; 33];
    let wrapped = key.seal_record(b"hello", &mut data).expect("sealed");
    let mut out = [0; 5];
    assert_eq!(key.open_record(&wrapped, &data, &mut out), Ok(()));
    assert_eq!(&out, b"hello");
}

/// Data bytes of core and least hot slots.
fn least() -> u64 {
    let bytes = |slots| Region::bytes_for(slots).expect("small") as u64;
    bytes(25) + bytes(64)
}

#[test]
fn a_limit_of_nothing() {
    children::pass(module_path!(), "a_limit_of_nothing", &["required first", "not required"], |case| {
        limit(0);
        if case == "required first" {
            assert_eq!(ask(1000, true), Err(Fault::LockLimit));
            assert_eq!(Region::all().count(), 0, "nothing half made");
            assert!(matches!(Key::generate(), Err(Fault::Unavailable)));
        }
        assert_eq!(ask(1000, false), Ok(()));
        let MemoryStatus { locked_bytes, unlocked_bytes, hot_slots, hot_slots_wanted, .. } = status();
        assert_eq!((locked_bytes, unlocked_bytes, hot_slots, hot_slots_wanted), (0, least(), 64, 1000));
        assert_eq!(locked_by_kernel(), 0);
        works();
        assert_eq!(ask(1000, true), Err(Fault::LockLimit), "what is there is not locked");
        works();
    });
}

#[test]
fn a_limit_that_core_and_least_hot_slots_fit_in() {
    let test = "a_limit_that_core_and_least_hot_slots_fit_in";
    children::pass(module_path!(), test, &["required", "not required"], |case| {
        // 64 KiB, the default of older kernels, where pages are of 4 KiB.
        let bytes = if os::page() == 4096 { 64 << 10 } else { least() + os::page() as u64 };
        limit(bytes);
        assert_eq!(ask(1000, case == "required"), Ok(()));
        let status = status();
        assert_eq!((status.locked_bytes, status.unlocked_bytes), (least(), 0), "{status:?}");
        assert_eq!((status.hot_slots, status.hot_slots_wanted), (64, 1000));
        assert_eq!(locked_by_kernel(), least());
        works();
    });
}

#[test]
fn a_limit_that_other_code_has_used_up_in_part() {
    let test = "a_limit_that_other_code_has_used_up_in_part";
    children::pass(module_path!(), test, &["required", "not required"], |case| {
        let page = os::page();
        limit(least() + page as u64);
        let others = os::map_guarded(4 * page).expect("mapped");
        assert!(os::lock(others, 4 * page));
        if case == "required" {
            assert_eq!(ask(1000, true), Err(Fault::LockLimit));
            assert_eq!(
                (Region::all().count(), locked_by_kernel()),
                (0, 4 * page as u64),
                "nothing half made"
            );
        }
        assert_eq!(ask(1000, false), Ok(()));
        let status = status();
        assert_eq!(
            (status.locked_bytes, status.unlocked_bytes),
            (least() - 3 * page as u64, 3 * page as u64)
        );
        assert_eq!((status.hot_slots, locked_by_kernel()), (64, least() + page as u64));
        works();
        os::unlock(others, 4 * page);
        assert_eq!(ask(1000, true), Ok(()), "now the rest can be locked too");
        assert_eq!(super::super::status().unlocked_bytes, 0);
    });
}

#[test]
fn an_ample_limit_and_growth_up_to_it() {
    let test = "an_ample_limit_and_growth_up_to_it";
    children::pass(module_path!(), test, &["required", "not required"], |case| {
        const LIMIT: u64 = 2 << 20;
        limit(LIMIT);
        let required = case == "required";
        assert_eq!(ask(256, required), Ok(()));
        assert_eq!((status().hot_slots, status().unlocked_bytes), (256, 0));
        works();
        assert_eq!(ask(100, required), Ok(()));
        assert_eq!(status().hot_slots, 256, "fewer changes nothing");
        assert_eq!(ask(1000, required), Ok(()));
        assert_eq!((status().hot_slots, status().unlocked_bytes), (1000, 0));
        assert_eq!(ask(100_000, required), Ok(()));
        let full = status();
        assert!(full.hot_slots > 3000 && full.hot_slots < 3300, "{full:?}");
        assert_eq!((full.hot_slots_wanted, full.unlocked_bytes), (100_000, 0));
        assert!(full.locked_bytes <= LIMIT - (32 << 10), "room for further threads is left: {full:?}");
        works();
        hold_threads(20, |result| assert_eq!(result, Ok(())));
        assert_eq!(status().unlocked_bytes, 0);
    });
}

#[test]
fn threads_beyond_the_limit() {
    children::pass(module_path!(), "threads_beyond_the_limit", &["required", "not required"], |case| {
        let required = case == "required";
        limit(least());
        assert_eq!(ask(64, required), Ok(()));
        // A region of 25 core slots is good for ten threads.
        hold_threads(10, |result| assert_eq!(result, Ok(())));
        let refused = std::sync::atomic::AtomicUsize::new(0);
        hold_threads(15, |result| match result {
            Ok(()) => {}
            Err(fault) => {
                assert_eq!(fault, Fault::LockLimit);
                refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        assert_eq!(refused.into_inner() > 0, required);
        assert_eq!(status().unlocked_bytes > 0, !required);
        works();
    });
}

/// Has so many threads use the arena at the same time.
fn hold_threads(count: usize, judge: impl Fn(Result<(), Fault>) + Sync) {
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        let work = || {
            let result = random(&mut [0; 8]);
            barrier.wait();
            judge(result);
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        // The end of the scope alone does not wait until the threads have given their slots back.
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}
