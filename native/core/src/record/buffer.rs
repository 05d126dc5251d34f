//! Memory for sealed bytes, kept from call to call.

use crate::memory::prefer_large_pages;

/// Above this much a buffer is given back after the call that needed it.
const KEPT: usize = 4 << 20;

/// Memory for the sealed bytes of one record at a time, kept from call to call so that a call allocates nothing.
///
/// It never holds a plaintext.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
}

impl Buffer {
    /// An empty buffer, which allocates when it is first needed.
    #[must_use]
    pub const fn new() -> Buffer {
        Buffer { bytes: Vec::new() }
    }

    /// `len` bytes of any content, to be overwritten.
    pub fn take(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            // A new allocation: the old content is not worth copying.
            let len = len.next_multiple_of(1 << 10);
            let mut bytes = Vec::with_capacity(len);
            prefer_large_pages(bytes.spare_capacity_mut());
            bytes.resize(len, 0);
            self.bytes = bytes;
        }
        &mut self.bytes[..len]
    }

    /// The first `len` bytes, as last written.
    pub(super) fn filled(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }

    /// Gives an unusually large allocation back.
    pub fn settle(&mut self) {
        if self.bytes.len() > KEPT {
            self.bytes = Vec::new();
        }
    }
}
