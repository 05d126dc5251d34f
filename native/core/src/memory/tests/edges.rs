//! Guard pages, canaries, and what the kernel says about the pages.

use super::super::os;
use super::super::region::Region;
use super::super::{Key, inspect};
use super::{arena, children};
use crate::status::Fault;

/// First and last data byte of the hot region (the newest) or the core region.
fn span(which: &str) -> (*mut u8, usize) {
    let mut regions = Region::all();
    let region = if which.starts_with("hot") { regions.next() } else { regions.last() };
    region.expect("both regions exist").span()
}

fn read(at: *const u8) -> u8 {
    // SAFETY: not at all for a guard page: the process is meant to be ended by it.
    unsafe { at.read_volatile() }
}

#[test]
fn reading_a_guard_page_faults() {
    let cases = ["core before", "core after", "hot before", "hot after", "core inside", "hot inside"];
    let ends = children::run(module_path!(), "reading_a_guard_page_faults", &cases, |case| {
        arena(4);
        let (first, len) = span(case);
        let byte = match case {
            _ if case.ends_with("before") => read(first.wrapping_sub(1)),
            _ if case.ends_with("after") => read(first.wrapping_add(len)),
            _ => read(first) ^ read(first.wrapping_add(len - 1)),
        };
        std::hint::black_box(byte);
    });
    for (end, case) in ends.iter().zip(cases) {
        let faulted = end.signal == Some(libc::SIGSEGV) || end.signal == Some(libc::SIGBUS);
        assert_eq!(faulted, !case.ends_with("inside"), "case {case}: {end:?}");
        assert_eq!(end.returned, case.ends_with("inside"), "case {case}: {end:?}");
    }
}

#[test]
fn guard_pages_are_inaccessible_to_their_far_ends() {
    let cases = ["core", "hot"];
    let ends =
        children::run(module_path!(), "guard_pages_are_inaccessible_to_their_far_ends", &cases, |case| {
            arena(4);
            let (first, _) = span(case);
            std::hint::black_box(read(first.wrapping_sub(os::page())));
        });
    for end in ends {
        assert!(end.signal == Some(libc::SIGSEGV) && !end.returned, "{end:?}");
    }
}

#[test]
fn an_overwritten_canary_is_detected_for_good() {
    let cases = ["core front", "core rear", "hot front", "hot rear"];
    children::pass(module_path!(), "an_overwritten_canary_is_detected_for_good", &cases, |case| {
        arena(4);
        let key = Key::generate().expect("generated");
        assert_eq!(inspect(), Ok(()));
        let (first, len) = span(case);
        let at = if case.ends_with("front") { first.wrapping_add(63) } else { first.wrapping_add(len - 1) };
        // SAFETY: the last byte of the front canary, or the last byte before the rear guard page.
        unsafe { at.write_volatile(at.read_volatile() ^ 1) };
        assert_eq!(inspect(), Err(Fault::Canary));
        assert_eq!(key.seal(b"", &mut [0; 28]), Err(Fault::Canary));
        // SAFETY: as above.
        unsafe { at.write_volatile(at.read_volatile() ^ 1) };
        assert_eq!(key.seal(b"", &mut [0; 28]), Err(Fault::Canary), "it stays so");
        assert!(matches!(Key::generate(), Err(Fault::Canary)));
    });
}

#[test]
fn an_overwritten_canary_is_detected_by_ordinary_use() {
    let cases = ["core refill", "hot fill", "hot drop"];
    children::pass(module_path!(), "an_overwritten_canary_is_detected_by_ordinary_use", &cases, |case| {
        arena(4);
        let (key, other) = (Key::generate().expect("generated"), Key::generate().expect("generated"));
        key.seal(b"", &mut [0; 28]).expect("sealed");
        let (first, _) = span(case);
        // SAFETY: the first byte of the front canary.
        unsafe { first.write_volatile(first.read_volatile() ^ 1) };
        match case {
            "core refill" => {
                let mut uses = (0..12).map(|_| key.seal_record(b"", &mut [0; 28]));
                assert!(
                    uses.any(|result| result == Err(Fault::Canary)),
                    "a generator's buffer lasts ten records"
                );
            }
            "hot fill" => assert_eq!(other.seal(b"", &mut [0; 28]), Err(Fault::Canary)),
            _ => {
                assert_eq!(key.seal(b"", &mut [0; 28]), Ok(()), "not looked at by a hit");
                drop(key);
            }
        }
        assert_eq!(other.seal(b"", &mut [0; 28]), Err(Fault::Canary));
    });
}

#[test]
fn an_overwritten_sentinel_counts_as_a_canary() {
    children::pass(module_path!(), "an_overwritten_sentinel_counts_as_a_canary", &["core"], |case| {
        arena(4);
        let key = Key::generate().expect("generated");
        let sentinel = span(case).0.wrapping_add(64);
        // SAFETY: the first byte of slot 0 of the core region.
        unsafe { sentinel.write_volatile(sentinel.read_volatile() ^ 1) };
        assert_eq!(key.seal(b"", &mut [0; 28]), Err(Fault::Canary));
    });
}

#[test]
fn the_end_of_the_process_complains_about_an_overwritten_canary() {
    let test = "the_end_of_the_process_complains_about_an_overwritten_canary";
    let ends = children::run(module_path!(), test, &["untouched", "hot touched"], |case| {
        arena(4);
        if case.ends_with(" touched") {
            let (first, _) = span(case);
            // SAFETY: the first byte of the front canary.
            unsafe { first.write_volatile(first.read_volatile() ^ 1) };
        }
    });
    if let [untouched, touched] = &ends[..] {
        assert!(!untouched.errors.contains("canary"), "{untouched:?}");
        assert!(
            touched.errors.contains("asherah: a canary of the guarded memory was overwritten"),
            "{touched:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn pages_are_locked_and_stay_out_of_dumps_and_children() {
    let test = "pages_are_locked_and_stay_out_of_dumps_and_children";
    children::pass(module_path!(), test, &["as the kernel sees them"], |_| {
        arena(4);
        let status = super::super::status();
        assert_eq!(status.unlocked_bytes, 0, "this test needs 20 KiB of lock limit: {status:?}");
        assert!(status.no_dump && status.wiped_on_fork);
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("Linux has smaps");
        for region in Region::all() {
            let (first, len) = region.span();
            let head = format!("{:x}-{:x} rw-p", first as usize, first as usize + len);
            let entry = maps.lines().skip_while(|line| !line.starts_with(&head));
            let flags =
                entry.skip(1).find(|line| line.starts_with("VmFlags:")).expect("the data pages' own entry");
            for flag in ["lo", "dd", "wf"] {
                assert!(flags.split_whitespace().any(|word| word == flag), "{flag} is missing in {flags}");
            }
        }
    });
}
