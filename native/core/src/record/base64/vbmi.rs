//! Base64 with AVX-512 VBMI, where a table of 64 or 128 bytes is looked up by one instruction (Muła and Lemire, "Base64
//! encoding and decoding at almost the speed of a memory copy", 2019).
//!
//! Of a record of 8 KB, decoding took a quarter of the whole call with AVX2, and takes a fifteenth with this.

#![allow(unsafe_code, reason = "vectors are loaded and stored by address")]

use std::arch::x86_64::{
    __m512i, _mm_sfence, _mm512_loadu_si512, _mm512_madd_epi16, _mm512_maddubs_epi16, _mm512_mask_mov_epi8,
    _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_multishift_epi64_epi8,
    _mm512_or_si512, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_stream_si512, _mm512_test_epi8_mask,
};

/// Bytes and characters of one step.
const BYTES: usize = 48;
const CHARACTERS: usize = 64;
/// From so many bytes on, their text is written past the caches: it would not stay in one until it is read, and each of its
/// lines would be read from memory only to be overwritten. Of 1 MB into memory that was used 64 MiB ago that takes 110 µs
/// and not 315.
const STREAMED: usize = 256 << 10;

const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Where the bytes of each group of three go, so that the four sextets can be shifted out of 32 bits.
const SPREAD: [u8; 64] = {
    let mut table = [0; 64];
    let mut group = 0;
    while group < 16 {
        let first = 3 * group as u8;
        (table[4 * group], table[4 * group + 1]) = (first + 1, first);
        (table[4 * group + 2], table[4 * group + 3]) = (first + 2, first + 1);
        group += 1;
    }
    table
};

/// Where the three bytes of each 32 bits are, the highest first.
const GATHER: [u8; 64] = {
    let mut table = [0; 64];
    let mut group = 0;
    while group < 16 {
        let first = 4 * group as u8;
        (table[3 * group], table[3 * group + 1], table[3 * group + 2]) = (first + 2, first + 1, first);
        group += 1;
    }
    table
};

/// What a character below 128 stands for; the highest bit for one that stands for nothing.
const VALUES: [u8; 128] = {
    let mut table = [0x80; 128];
    let mut value = 0;
    while value < 64 {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Whether this processor has the instructions.
#[inline]
pub(super) fn is_here() -> bool {
    std::is_x86_feature_detected!("avx512vbmi")
        && std::is_x86_feature_detected!("avx512bw")
        && std::is_x86_feature_detected!("avx512f")
}

/// Appends the base64 of `bytes`.
#[inline]
pub(super) fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let len = super::encoded_len(bytes.len());
    out.reserve(len);
    // SAFETY: `is_here` was asked; `len` bytes are reserved behind the vector's own, and all of them are written.
    unsafe {
        encode(bytes, out.as_mut_ptr().add(out.len()));
        out.set_len(out.len() + len);
    }
}

/// Decodes `text`, whose length and padding `out` fits; false when it is not canonical.
#[inline]
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> bool {
    if Some(out.len()) != super::decoded_len(text) {
        return false;
    }
    // SAFETY: `is_here` was asked; `out` is as long as is written, and overlaps nothing.
    unsafe { decode_all(text.as_ptr(), text.len(), out.as_mut_ptr()) }.is_ok()
}

/// Decodes `text` over its own front, and leaves it as it was when it is not canonical. Its length is that of a base64 text.
#[inline]
pub(super) fn decode_in_place(text: &mut [u8]) -> bool {
    if super::decoded_len(text).is_none() {
        return false;
    }
    let first = text.as_mut_ptr();
    // SAFETY: `is_here` was asked; what is written at each step was read before.
    let Err(steps) = (unsafe { decode_all(first, text.len(), first) }) else { return true };
    for step in (0..steps).rev() {
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&text[step * BYTES..][..BYTES]);
        // SAFETY: `is_here` was asked; a step's text has as many characters, and was decoded from there.
        unsafe { encode(&bytes, text[step * CHARACTERS..][..CHARACTERS].as_mut_ptr()) };
    }
    false
}

/// # Safety
///
/// The features are there, and `encoded_len(bytes.len())` bytes from `out` on can be written.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn encode(bytes: &[u8], mut out: *mut u8) {
    // SAFETY: 64 bytes each.
    let (spread, alphabet) = unsafe { (load(&SPREAD), load(&ALPHABET)) };
    let encode = |bytes: __m512i| {
        let groups = _mm512_permutexvar_epi8(spread, bytes);
        // Sextets at bits 10, 4, 22 and 16 of each 32.
        let sextets = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(0x3036_242a_1016_040a), groups);
        _mm512_permutexvar_epi8(sextets, alphabet)
    };
    let (steps, rest) = bytes.as_chunks::<BYTES>();
    let text = |step: &[u8; BYTES]| {
        // SAFETY: the mask loads a step's bytes alone.
        encode(unsafe { _mm512_maskz_loadu_epi8((1 << BYTES) - 1, step.as_ptr().cast()) })
    };
    if let [first, others @ ..] = steps
        && bytes.len() >= STREAMED
    {
        // Such stores are of whole lines, so each takes the end of one step's text and the beginning of the next one's.
        let lead = out.align_offset(CHARACTERS);
        let places: [u8; CHARACTERS] = std::array::from_fn(|at| (lead + at) as u8);
        // SAFETY: 64 bytes; 64 can be written for each step, and lines begin `lead` bytes behind `out`.
        unsafe {
            let places = load(&places);
            let mut before = text(first);
            _mm512_mask_storeu_epi8(out.cast(), low(lead), before);
            out = out.add(lead);
            for step in others {
                let after = text(step);
                _mm512_stream_si512(out.cast(), _mm512_permutex2var_epi8(before, places, after));
                before = after;
                out = out.add(CHARACTERS);
            }
            _mm_sfence();
            let left = _mm512_permutexvar_epi8(places, before);
            _mm512_mask_storeu_epi8(out.cast(), low(CHARACTERS - lead), left);
            out = out.add(CHARACTERS - lead);
        }
    } else {
        for step in steps {
            // SAFETY: 64 bytes can be written for each step.
            unsafe {
                _mm512_mask_storeu_epi8(out.cast(), u64::MAX, text(step));
                out = out.add(CHARACTERS);
            }
        }
    }
    if rest.is_empty() {
        return;
    }
    let all = super::encoded_len(rest.len());
    let used = (rest.len() * 8).div_ceil(6);
    // SAFETY: the masks load the rest's bytes alone, and store as many characters as that is long.
    unsafe {
        let bytes = _mm512_maskz_loadu_epi8(low(rest.len()), rest.as_ptr().cast());
        let text = _mm512_mask_mov_epi8(encode(bytes), !low(used), _mm512_set1_epi8(b'=' as i8));
        _mm512_mask_storeu_epi8(out.cast(), low(all), text);
    }
}

/// Decodes `len` characters; otherwise, how many steps of [`BYTES`] were decoded before the text turned out not to be canonical,
/// and nothing else was written.
///
/// # Safety
///
/// The features are there, `len` characters can be read from `text` on, and `decoded_len` of them is a number of bytes that can
/// be written from `out` on. The two may be the same place: no step writes what a later one reads.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn decode_all(text: *const u8, len: usize, out: *mut u8) -> Result<(), usize> {
    // SAFETY: both halves of the table.
    let (low_values, high_values) = unsafe { (load(&VALUES[..64]), load(&VALUES[64..])) };
    let values = |text: __m512i| _mm512_permutex2var_epi8(low_values, text, high_values);
    // SAFETY: 64 bytes.
    let gather = unsafe { load(&GATHER) };
    let pack = |values: __m512i| {
        let twelve = _mm512_maddubs_epi16(values, _mm512_set1_epi32(0x0140_0140));
        let whole = _mm512_madd_epi16(twelve, _mm512_set1_epi32(0x0001_1000));
        _mm512_permutexvar_epi8(gather, whole)
    };
    // The last step, of 1 to 64 characters, may be padded.
    let steps = len.saturating_sub(1) / CHARACTERS;
    for step in 0..steps {
        // SAFETY: a step's 64 characters, and a mask that stores its 48 bytes, which end before the next step's characters.
        unsafe {
            let text = _mm512_loadu_si512(text.add(step * CHARACTERS).cast());
            let values = values(text);
            // A character above 127 has the bit itself.
            if _mm512_movepi8_mask(_mm512_or_si512(text, values)) != 0 {
                return Err(step);
            }
            _mm512_mask_storeu_epi8(out.add(step * BYTES).cast(), (1 << BYTES) - 1, pack(values));
        }
    }
    let left = len - steps * CHARACTERS;
    // SAFETY: the characters that are left, which are read no more once something is written below.
    let tail = unsafe { std::slice::from_raw_parts(text.add(steps * CHARACTERS), left) };
    let padding = tail.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let used = left - padding;
    let rest = used * 6 / 8;
    // SAFETY: the masks load the characters of the tail without its padding, and store `rest` bytes.
    unsafe {
        // What stands for zero in the place of what is not there.
        let nothing = _mm512_set1_epi8(b'A' as i8);
        let text = _mm512_maskz_loadu_epi8(low(used), tail.as_ptr().cast());
        let text = _mm512_mask_mov_epi8(text, !low(used), nothing);
        let values = values(text);
        let bytes = pack(values);
        // Bits that are left over must be zero: the text would not be canonical.
        let over = _mm512_test_epi8_mask(bytes, bytes) & !low(rest) & low(BYTES);
        if over != 0 || _mm512_movepi8_mask(_mm512_or_si512(text, values)) != 0 {
            return Err(steps);
        }
        _mm512_mask_storeu_epi8(out.add(steps * BYTES).cast(), low(rest), bytes);
    }
    Ok(())
}

/// The lowest `count` bits, of up to 64.
#[inline]
fn low(count: usize) -> u64 {
    u64::MAX.checked_shr(64 - count as u32).unwrap_or(0)
}

/// # Safety
///
/// The features are there, and so are 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(bytes: &[u8]) -> __m512i {
    debug_assert!(bytes.len() >= 64);
    // SAFETY: the caller's promise; alignment does not matter.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}
