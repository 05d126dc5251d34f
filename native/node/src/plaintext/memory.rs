//! Page-aligned ordinary memory for decrypted bytes.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::slice;
use std::sync::{Arc, OnceLock};

use asherah_core::Fault;
use asherah_core::memory::prefer_large_pages;

use super::{SHARED, SLAB};

/// Slabs kept for reuse, for each thread: 1 MiB.
const KEPT: usize = 16;
/// Bytes of larger pieces kept for reuse, for each thread: about as much as V8 lets pile up before it collects. A new page
/// costs as much as opening what goes into it.
const KEPT_LARGE: usize = 64 << 20;

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
// SAFETY: of a shared one, only `slice` reaches the bytes, whose caller promises that nobody else does.
unsafe impl Sync for Memory {}

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
        let memory = Memory { first: unsafe { base.add(lead) }, len, base, layout };
        // SAFETY: this allocation's own bytes, which nobody else knows of yet.
        prefer_large_pages(unsafe { slice::from_raw_parts_mut(memory.first.as_ptr().cast(), len) });
        Ok(memory)
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

/// Memory of one thread's that is out of use, a bounded amount of it: zero throughout.
#[derive(Debug, Default)]
pub struct Spare {
    slabs: RefCell<Vec<Arc<Memory>>>,
    /// The oldest first.
    large: RefCell<VecDeque<Arc<Memory>>>,
}

impl Spare {
    /// Memory for a slab.
    pub fn take(&self) -> Result<Arc<Memory>, Fault> {
        match self.slabs.borrow_mut().pop() {
            Some(memory) => Ok(memory),
            None => Memory::new(SLAB).map(Arc::new),
        }
    }

    /// Memory of about `len` bytes, if there is any.
    pub fn take_large(&self, len: usize) -> Option<Arc<Memory>> {
        let mut large = self.large.borrow_mut();
        let at = large.iter().rposition(|memory| (len..=2 * len).contains(&memory.len()))?;
        large.remove(at)
    }

    /// Whether it keeps no more slabs.
    pub fn is_full(&self) -> bool {
        self.slabs.borrow().len() >= KEPT
    }

    /// Keeps memory that is zero throughout; false when it is too much.
    pub fn give(&self, memory: &Arc<Memory>) -> bool {
        if memory.len() == SLAB.next_multiple_of(page_size()) {
            let is_kept = !self.is_full();
            if is_kept {
                self.slabs.borrow_mut().push(Arc::clone(memory));
            }
            return is_kept;
        }
        if !(SHARED..=KEPT_LARGE).contains(&memory.len()) {
            return false;
        }
        let mut large = self.large.borrow_mut();
        large.push_back(Arc::clone(memory));
        let mut all: usize = large.iter().map(|memory| memory.len()).sum();
        while all > KEPT_LARGE {
            let Some(oldest) = large.pop_front() else { break };
            all -= oldest.len();
            // Node may refer to it still, so that it is not freed yet.
            oldest.discard();
        }
        true
    }
}
