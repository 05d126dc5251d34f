//! Page-aligned ordinary memory for decrypted bytes.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;
use std::sync::OnceLock;

use asherah_core::Fault;

use super::SLAB;

/// Slabs kept for reuse, for each thread: 1 MiB.
const KEPT: usize = 16;

/// Whole pages, zero at first and whenever they are given back.
#[derive(Debug)]
pub struct Memory {
    first: NonNull<u8>,
    len: usize,
    base: NonNull<u8>,
    layout: Layout,
}

// SAFETY: it owns its bytes, like a boxed slice.
unsafe impl Send for Memory {}

impl Memory {
    /// So many zero bytes, rounded up to whole pages; [`Fault::Unavailable`] when there are none.
    pub fn new(len: usize) -> Result<Memory, Fault> {
        let page = page_size();
        let len = len.max(1).next_multiple_of(page);
        // A page more, to begin at one: of an allocator asked for alignment, zeroes cost a pass over the memory.
        let layout = Layout::from_size_align(len + page, 16).map_err(|_| Fault::TooLarge)?;
        // SAFETY: the layout has a size.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(Fault::Unavailable)?;
        let lead = base.as_ptr().align_offset(page).min(page);
        // SAFETY: within the allocation, which has a page to spare.
        Ok(Memory { first: unsafe { base.add(lead) }, len, base, layout })
    }

    /// Bytes, rounded up.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Where they begin.
    pub fn first(&self) -> *mut u8 {
        self.first.as_ptr()
    }

    /// The bytes from `start`, `len` of them; panics beyond the end.
    ///
    /// # Safety
    ///
    /// Nothing else refers to these bytes while the slice lives, JavaScript included.
    pub unsafe fn slice<'a>(&self, start: usize, len: usize) -> &'a mut [u8] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len()));
        // SAFETY: within the allocation, initialised from the start; unique by the caller's promise.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr().add(start), len) }
    }

    /// Gives the pages back to the system, where it has a call for that; the addresses stay, and read as zero.
    pub fn discard(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: whole pages of this allocation, wiped before; they stay mapped. A refusal leaves them as they are.
        unsafe {
            libc::madvise(self.first.as_ptr().cast(), self.len, libc::MADV_DONTNEED);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made with this layout by `new`.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

fn page_size() -> usize {
    static PAGE: OnceLock<usize> = OnceLock::new();
    *PAGE.get_or_init(|| {
        // SAFETY: asks for a constant.
        #[cfg(target_os = "linux")]
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok();
        #[cfg(not(target_os = "linux"))]
        let page = None;
        page.filter(|page| page.is_power_of_two()).unwrap_or(4096)
    })
}

/// A thread's slabs that are out of use, a bounded number of them.
#[derive(Debug, Default)]
pub struct Spare(RefCell<Vec<Rc<Memory>>>);

impl Spare {
    /// Memory for a slab, zero throughout.
    pub fn take(&self) -> Result<Rc<Memory>, Fault> {
        match self.0.borrow_mut().pop() {
            Some(memory) => Ok(memory),
            None => Memory::new(SLAB).map(Rc::new),
        }
    }

    /// Whether it keeps no more.
    pub fn is_full(&self) -> bool {
        self.0.borrow().len() >= KEPT
    }

    /// Keeps the memory of a slab, which is zero throughout; false when it is too many, or of another size.
    pub fn give(&self, memory: &Rc<Memory>) -> bool {
        let mut kept = self.0.borrow_mut();
        let is_kept = memory.len() == SLAB.next_multiple_of(page_size()) && kept.len() < KEPT;
        if is_kept {
            kept.push(Rc::clone(memory));
        }
        is_kept
    }
}
