//! Overwriting plaintext in ordinary memory.

use crate::text;

/// From so many bytes on, writing past the caches pays.
#[cfg(target_arch = "x86_64")]
const STREAMED: usize = 256 << 10;

/// Zeroes `bytes`, whether or not anything reads them afterwards.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// Zeroes `bytes`, which nobody will read or write soon: much of them past the caches. They are in none any more, and would
/// be read from memory only to be overwritten (1.4 MB that was used 64 MiB ago: 80 µs and not 210).
pub fn wipe_unused(bytes: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= STREAMED {
        use std::arch::x86_64::{__m128i, _mm_setzero_si128, _mm_sfence, _mm_stream_si128};
        // SAFETY: any bits are a valid vector.
        let (before, vectors, after) = unsafe { bytes.align_to_mut::<__m128i>() };
        before.fill(0);
        after.fill(0);
        for vector in vectors {
            // SAFETY: every x86-64 has the instruction; the place is aligned and exclusively ours.
            unsafe { _mm_stream_si128(vector, _mm_setzero_si128()) };
        }
        // SAFETY: as above; what follows comes after these stores.
        unsafe { _mm_sfence() };
        zeroize::optimization_barrier(bytes);
        return;
    }
    wipe(bytes);
}

/// A vector of plaintext: zeroed when dropped.
#[derive(Debug, Default)]
pub struct Plain(pub Vec<u8>);

impl Plain {
    /// Zeroes what it holds, and keeps the zeroes, unless there is more memory than `kept` bytes: then others may have it.
    pub fn clear(&mut self, kept: usize) {
        wipe(&mut self.0);
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
