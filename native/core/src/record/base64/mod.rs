//! Base64 in the standard alphabet with padding, canonical: each byte sequence has one text.

#[cfg(target_arch = "x86_64")]
mod vbmi;

use base64_simd::{AsOut, STANDARD};

/// Characters of the base64 of `len` bytes.
pub(super) const fn encoded_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// Bytes that `text` decodes to if it decodes at all; `None` when its length or padding already says that it does not.
pub(super) fn decoded_len(text: &[u8]) -> Option<usize> {
    STANDARD.decoded_length(text).ok()
}

/// Appends the base64 of `bytes`.
pub(super) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    #[cfg(target_arch = "x86_64")]
    if vbmi::is_here() {
        vbmi::append(bytes, out);
        return;
    }
    STANDARD.encode_append(bytes, out);
}

/// Decodes `text` into the front of `out` and returns how many bytes that is; `None` when the text is not canonical
/// or `out` is too short for it.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = decoded_len(text).filter(|&len| len <= out.len())?;
    #[cfg(target_arch = "x86_64")]
    if vbmi::is_here() {
        return vbmi::decode(text, &mut out[..len]).then_some(len);
    }
    // The decoder panics when the place is too short.
    STANDARD.decode(text, out.as_out()).ok().map(|decoded| decoded.len())
}

/// Decodes `text` over its own front and returns how many bytes that is; `None`, with `text` as it was, when it is not
/// canonical.
pub(super) fn decode_in_place(text: &mut [u8]) -> Option<usize> {
    let len = decoded_len(text)?;
    #[cfg(target_arch = "x86_64")]
    if vbmi::is_here() {
        return vbmi::decode_in_place(text).then_some(len);
    }
    STANDARD.check(text).ok()?;
    STANDARD.decode_inplace(text).ok().map(|decoded| decoded.len())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
