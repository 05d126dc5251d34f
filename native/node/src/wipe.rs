//! Overwriting plaintext in ordinary memory.

/// Zeroes `bytes`, whether or not anything reads them afterwards.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// A vector of plaintext: zeroed when dropped.
#[derive(Debug, Default)]
pub struct Plain(pub Vec<u8>);

impl Plain {
    /// Zeroes what it holds and keeps the memory, unless there is more of it than `kept` bytes.
    pub fn clear(&mut self, kept: usize) {
        wipe(&mut self.0);
        self.0.clear();
        if self.0.capacity() > kept {
            self.0 = Vec::new();
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
