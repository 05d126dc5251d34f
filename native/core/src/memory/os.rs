//! What guarded memory needs of the operating system.

/// What the operating system granted for a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Advice {
    /// The pages are left out of core dumps.
    pub(super) no_dump: bool,
    /// A forked child finds zeroes (Linux), or nothing (macOS, BSD), in place of the pages.
    pub(super) wiped_on_fork: bool,
}

#[cfg(unix)]
pub(super) use unix::*;

#[cfg(unix)]
mod unix {
    use std::ffi::{c_int, c_void};
    use std::ptr::{self, NonNull};

    use super::Advice;
    use crate::status::Fault;

    /// Bytes of a page.
    pub(in crate::memory) fn page() -> usize {
        // SAFETY: reads a constant of the system.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
    }

    /// Maps `data` bytes (whole pages) between two inaccessible pages; gives the first of the data bytes.
    pub(in crate::memory) fn map_guarded(data: usize) -> Result<NonNull<u8>, Fault> {
        let page = page();
        let whole = data.checked_add(2 * page).ok_or(Fault::Unavailable)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
        // SAFETY: a fresh private mapping at an address of the system's choice touches nothing that exists.
        let base = unsafe { libc::mmap(ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(Fault::Unavailable);
        }
        // SAFETY: `page` bytes into a mapping of `data + 2 * page`.
        let first = unsafe { base.cast::<u8>().add(page) };
        // SAFETY: the range lies inside the mapping just made, which nobody else knows.
        let opened = unsafe { libc::mprotect(first.cast(), data, libc::PROT_READ | libc::PROT_WRITE) };
        match (opened, NonNull::new(first)) {
            (0, Some(first)) => Ok(first),
            _ => {
                // SAFETY: the mapping just made, whole.
                unsafe { libc::munmap(base, whole) };
                Err(Fault::Unavailable)
            }
        }
    }

    /// Gives back what `map_guarded` made.
    ///
    /// # Safety
    /// `first` and `data` are those of `map_guarded`, and nothing refers to the mapping any more.
    pub(in crate::memory) unsafe fn unmap_guarded(first: NonNull<u8>, data: usize) {
        let page = page();
        // SAFETY: the caller's promise; the guard pages belong to the same mapping.
        unsafe { libc::munmap(first.as_ptr().sub(page).cast(), data + 2 * page) };
    }

    /// Locks whole pages in RAM; false when the limit does not allow it.
    pub(in crate::memory) fn lock(first: NonNull<u8>, len: usize) -> bool {
        // SAFETY: changes nothing but where the pages may live; an unmapped range is an error, not a fault.
        unsafe { libc::mlock(first.as_ptr().cast(), len) == 0 }
    }

    /// Asks for large pages behind ordinary memory, of which 32 MiB need 16 and not 8,192: each new one costs a fault.
    pub(in crate::memory) fn prefer_large_pages(bytes: &mut [std::mem::MaybeUninit<u8>]) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            // From the first byte's page: without it, the first 2 MiB would be small pages.
            let first = bytes.as_ptr() as usize / page() * page();
            let end = (bytes.as_ptr() as usize + bytes.len()).next_multiple_of(page());
            // SAFETY: the advice changes nothing that can be read in these pages, whoever has the rest of the first and last.
            unsafe { libc::madvise(first as *mut c_void, end - first, libc::MADV_HUGEPAGE) };
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let _ = bytes;
    }

    /// Takes back a lock.
    pub(in crate::memory) fn unlock(first: NonNull<u8>, len: usize) {
        // SAFETY: as `lock`.
        unsafe { libc::munlock(first.as_ptr().cast(), len) };
    }

    /// The lock limit in bytes; `None` when there is none or it cannot be read.
    pub(in crate::memory) fn lock_limit() -> Option<u64> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is valid for writes.
        let read = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) };
        #[allow(clippy::unnecessary_cast, reason = "rlim_t differs between systems")]
        (read == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as u64)
    }

    /// Asks that the pages stay out of core dumps and out of forked children.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(in crate::memory) fn advise(first: NonNull<u8>, len: usize) -> Advice {
        let ask = |advice| {
            // SAFETY: neither advice changes what this process reads in the pages.
            unsafe { libc::madvise(first.as_ptr().cast(), len, advice) == 0 }
        };
        Advice { no_dump: ask(libc::MADV_DONTDUMP), wiped_on_fork: ask(libc::MADV_WIPEONFORK) }
    }

    /// Asks that the pages stay out of forked children (and of core dumps where there is a way to say so).
    #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd", target_os = "netbsd"))]
    pub(in crate::memory) fn advise(first: NonNull<u8>, len: usize) -> Advice {
        #[cfg(target_vendor = "apple")]
        unsafe extern "C" {
            fn minherit(first: *mut c_void, len: usize, inherit: c_int) -> c_int;
        }
        #[cfg(not(target_vendor = "apple"))]
        use libc::minherit;
        /// `VM_INHERIT_NONE` of Mach, `INHERIT_NONE` of the BSDs.
        const NONE: c_int = 2;
        // SAFETY: changes only what a later child inherits.
        let wiped_on_fork = unsafe { minherit(first.as_ptr().cast::<c_void>(), len, NONE) == 0 };
        #[cfg(target_os = "freebsd")]
        // SAFETY: changes only what a core dump holds.
        let no_dump = unsafe { libc::madvise(first.as_ptr().cast(), len, libc::MADV_NOCORE) == 0 };
        #[cfg(not(target_os = "freebsd"))]
        let no_dump = false;
        Advice { no_dump, wiped_on_fork }
    }

    /// Nothing to ask for on this system.
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "openbsd",
        target_os = "netbsd"
    )))]
    pub(in crate::memory) fn advise(_first: NonNull<u8>, _len: usize) -> Advice {
        Advice::default()
    }

    /// Fills `out` from the system's generator.
    ///
    /// # Safety
    /// `out` is valid for writes of `len` bytes that nobody else uses meanwhile.
    pub(in crate::memory) unsafe fn entropy(out: *mut u8, len: usize) -> Result<(), Fault> {
        let mut done = 0;
        while done < len {
            // At most 256 bytes a call: such a request is never cut short by a signal, and getentropy takes no more.
            let part = (len - done).min(256);
            // SAFETY: `done + part <= len`, and the caller's promise.
            let got = unsafe { entropy_part(out.add(done), part) };
            if got {
                done += part;
            } else if std::io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                return Err(Fault::Entropy);
            }
        }
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    unsafe fn entropy_part(out: *mut u8, len: usize) -> bool {
        // SAFETY: the caller's promise.
        let got = unsafe { libc::getrandom(out.cast::<c_void>(), len, 0) };
        usize::try_from(got) == Ok(len)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    unsafe fn entropy_part(out: *mut u8, len: usize) -> bool {
        // SAFETY: the caller's promise; `len` is at most 256.
        unsafe { libc::getentropy(out.cast::<c_void>(), len) == 0 }
    }

    /// Has `in_child` called in forked children, and `at_exit` when the process ends normally.
    pub(in crate::memory) fn watch(in_child: extern "C" fn(), at_exit: extern "C" fn()) -> Result<(), Fault> {
        // SAFETY: both functions are static and take nothing.
        let (forks, ends) = unsafe {
            let forks: c_int = libc::pthread_atfork(None, None, Some(in_child));
            (forks, libc::atexit(at_exit))
        };
        if forks == 0 && ends == 0 { Ok(()) } else { Err(Fault::Unavailable) }
    }

    /// Writes one line to standard error without allocating.
    pub(in crate::memory) fn complain(line: &str) {
        // SAFETY: a valid slice; the result does not matter, there is nobody left to tell.
        unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::*;

/// Where there is no guarded memory: making an arena fails with `Unavailable`, so the rest is never reached.
#[cfg(not(unix))]
mod elsewhere {
    use std::ptr::NonNull;

    use super::Advice;
    use crate::status::Fault;

    pub(in crate::memory) fn page() -> usize {
        4096
    }
    pub(in crate::memory) fn map_guarded(_data: usize) -> Result<NonNull<u8>, Fault> {
        Err(Fault::Unavailable)
    }
    pub(in crate::memory) unsafe fn unmap_guarded(_first: NonNull<u8>, _data: usize) {}
    pub(in crate::memory) fn lock(_first: NonNull<u8>, _len: usize) -> bool {
        false
    }
    pub(in crate::memory) fn unlock(_first: NonNull<u8>, _len: usize) {}
    pub(in crate::memory) fn prefer_large_pages(_bytes: &mut [std::mem::MaybeUninit<u8>]) {}
    pub(in crate::memory) fn lock_limit() -> Option<u64> {
        None
    }
    pub(in crate::memory) fn advise(_first: NonNull<u8>, _len: usize) -> Advice {
        Advice::default()
    }
    pub(in crate::memory) unsafe fn entropy(_out: *mut u8, _len: usize) -> Result<(), Fault> {
        Err(Fault::Entropy)
    }
    pub(in crate::memory) fn watch(
        _in_child: extern "C" fn(),
        _at_exit: extern "C" fn(),
    ) -> Result<(), Fault> {
        Err(Fault::Unavailable)
    }
    pub(in crate::memory) fn complain(_line: &str) {}
}
