//! Overwriting plaintext in ordinary memory.

use crate::text;

/// Zeroes `bytes`, whether or not anything reads them afterwards.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// A vector of plaintext: zeroed when dropped.
#[derive(Debug, Default)]
pub struct Plain(pub Vec<u8>);

impl Plain {
    /// Zeroes what it holds and keeps the memory, unless there is more of it than `kept` bytes: then others may have it.
    pub fn clear(&mut self, kept: usize) {
        wipe(&mut self.0);
        self.0.clear();
        if self.0.capacity() > kept {
            text::give(std::mem::take(&mut self.0));
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
