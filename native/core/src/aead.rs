//! AES-256-GCM contexts that live in memory of the caller's choosing.
//!
//! The cipher is aws-lc's: its `EVP_AEAD_CTX` is a plain struct without pointers into the heap, so that an expanded
//! key can be made, used and wiped inside guarded memory. A context is never moved or copied once it is made.
//!
//! What aws-lc leaves behind: for the time of one call it copies the GHASH table of the key (not the key or its
//! schedule) and single key stream blocks to the stack, and keeps round keys in vector registers. [`scrub`] overwrites
//! the stack afterwards; registers are overwritten by whatever the thread computes next, and may reach the kernel's
//! saved thread state before that.

use std::ptr;

use aws_lc_sys::{
    ERR_clear_error, EVP_AEAD_CTX, EVP_AEAD_CTX_cleanup, EVP_AEAD_CTX_init, EVP_AEAD_CTX_open_gather,
    EVP_AEAD_CTX_seal_scatter, EVP_aead_aes_256_gcm,
};

use crate::status::Fault;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;
/// Bytes of a nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes of an authentication tag.
pub(crate) const TAG: usize = 16;
/// What sealing adds: tag and nonce.
pub(crate) const OVERHEAD: usize = TAG + NONCE;

/// An expanded AES-256-GCM key. All zero is a valid value: a context without a key, which refuses every call.
#[repr(transparent)]
pub(crate) struct Context(EVP_AEAD_CTX);

/// The tag did not verify.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongTag;

impl Context {
    /// Expands a key in place.
    ///
    /// # Safety
    /// `this` is valid for writes, aligned, and nobody else uses it during the call; `key` is valid for reads of
    /// [`KEY`] bytes and lies outside of `this`. The context must not be moved afterwards.
    pub(crate) unsafe fn init_at(this: *mut Context, key: *const u8) -> Result<(), Fault> {
        // SAFETY: the caller's promise; `Context` is transparent over `EVP_AEAD_CTX`. The method table is static.
        let made =
            unsafe { EVP_AEAD_CTX_init(this.cast(), EVP_aead_aes_256_gcm(), key, KEY, TAG, ptr::null_mut()) };
        if made == 1 { Ok(()) } else { Err(failed()) }
    }

    /// Ends a context; its memory still has to be wiped.
    ///
    /// # Safety
    /// As [`Context::init_at`]; the context is all zero, or was made by `init_at`.
    pub(crate) unsafe fn cleanup_at(this: *mut Context) {
        // SAFETY: the caller's promise; cleanup of a context without a method table does nothing.
        unsafe { EVP_AEAD_CTX_cleanup(this.cast()) }
    }

    /// Seals `plain` into `sealed` (of the same length) and `tag`.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        plain: &[u8],
        sealed: &mut [u8],
        tag: &mut [u8; TAG],
    ) -> Result<(), Fault> {
        if self.0.aead.is_null() || sealed.len() != plain.len() {
            return Err(Fault::Cipher);
        }
        let mut tag_len = 0usize;
        // SAFETY: the context has a key (checked above) and is only read; every pointer comes from a slice or array
        // and is given with that one's length; `sealed` and `tag` are exclusive borrows, so nothing overlaps.
        let done = unsafe {
            EVP_AEAD_CTX_seal_scatter(
                &self.0,
                sealed.as_mut_ptr(),
                tag.as_mut_ptr(),
                &mut tag_len,
                TAG,
                nonce.as_ptr(),
                NONCE,
                plain.as_ptr(),
                plain.len(),
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        };
        if done == 1 && tag_len == TAG { Ok(()) } else { Err(failed()) }
    }

    /// Opens `sealed` into `plain` (of the same length); on a wrong tag `plain` is zeroed.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG],
        plain: &mut [u8],
    ) -> Result<(), WrongTag> {
        if self.0.aead.is_null() || sealed.len() != plain.len() {
            plain.fill(0);
            return Err(WrongTag);
        }
        // SAFETY: as in `seal`; `plain` is an exclusive borrow.
        let done = unsafe {
            EVP_AEAD_CTX_open_gather(
                &self.0,
                plain.as_mut_ptr(),
                nonce.as_ptr(),
                NONCE,
                sealed.as_ptr(),
                sealed.len(),
                tag.as_ptr(),
                TAG,
                aad.as_ptr(),
                aad.len(),
            )
        };
        if done == 1 {
            return Ok(());
        }
        failed();
        plain.fill(0);
        Err(WrongTag)
    }

    /// Opens `ciphertext ‖ tag ‖ nonce`; `plain` is [`OVERHEAD`] bytes shorter.
    pub(crate) fn open_tail(&self, sealed: &[u8], plain: &mut [u8]) -> Result<(), WrongTag> {
        let Some((rest, nonce)) = sealed.split_last_chunk::<NONCE>() else {
            plain.fill(0);
            return Err(WrongTag);
        };
        let Some((text, tag)) = rest.split_last_chunk::<TAG>() else {
            plain.fill(0);
            return Err(WrongTag);
        };
        self.open(nonce, &[], text, tag, plain)
    }

    /// Seals into `ciphertext ‖ tag ‖ nonce`; `sealed` is [`OVERHEAD`] bytes longer.
    pub(crate) fn seal_tail(
        &self,
        nonce: &[u8; NONCE],
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Fault> {
        let (rest, nonce_out) = sealed.split_last_chunk_mut::<NONCE>().ok_or(Fault::Cipher)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(Fault::Cipher)?;
        self.seal(nonce, &[], plain, text, tag)?;
        *nonce_out = *nonce;
        Ok(())
    }
}

/// aws-lc queues its errors by thread; nobody here reads them.
#[cold]
fn failed() -> Fault {
    // SAFETY: no arguments; it empties this thread's queue.
    unsafe { ERR_clear_error() };
    Fault::Cipher
}

/// Overwrites the stack below the caller, where a call into the cipher just ran.
///
/// A release build on x86-64 with AVX-512 reaches down less than 1 KiB, an unoptimised one less than 3 KiB; 20 ns.
#[inline(always)]
pub(crate) fn scrub() {
    zeroize::zeroize_stack::<3072>();
    forget_registers();
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
core::arch::global_asm!(
    ".globl asherah_forget_avx",
    ".hidden asherah_forget_avx",
    ".globl asherah_forget_avx512",
    ".hidden asherah_forget_avx512",
    ".p2align 4",
    "asherah_forget_avx:",
    "vzeroall",
    "ret",
    ".p2align 4",
    "asherah_forget_avx512:",
    "vzeroall",
    "vpxord xmm16, xmm16, xmm16",
    "vpxord xmm17, xmm17, xmm17",
    "vpxord xmm18, xmm18, xmm18",
    "vpxord xmm19, xmm19, xmm19",
    "vpxord xmm20, xmm20, xmm20",
    "vpxord xmm21, xmm21, xmm21",
    "vpxord xmm22, xmm22, xmm22",
    "vpxord xmm23, xmm23, xmm23",
    "vpxord xmm24, xmm24, xmm24",
    "vpxord xmm25, xmm25, xmm25",
    "vpxord xmm26, xmm26, xmm26",
    "vpxord xmm27, xmm27, xmm27",
    "vpxord xmm28, xmm28, xmm28",
    "vpxord xmm29, xmm29, xmm29",
    "vpxord xmm30, xmm30, xmm30",
    "vpxord xmm31, xmm31, xmm31",
    "ret",
);

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
unsafe extern "C" {
    fn asherah_forget_avx();
    fn asherah_forget_avx512();
}

/// Zeroes the vector registers, all of which the calling convention leaves to the callee: an idle thread would keep round
/// keys in them, and a core dump holds every thread's registers.
#[inline(always)]
fn forget_registers() {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    // SAFETY: the instructions exist, as was asked; they change no memory and no register that a caller keeps.
    unsafe {
        if std::is_x86_feature_detected!("avx512vl") {
            asherah_forget_avx512();
        } else if std::is_x86_feature_detected!("avx") {
            asherah_forget_avx();
        }
    }
}

#[cfg(test)]
#[path = "aead_tests.rs"]
mod tests;
