//! A place in a JSON text, and the steps forward from it (RFC 8259).

use std::borrow::Cow;

use super::MAX_SAFE_INTEGER;
use super::escape::unescape;
use super::reader::MALFORMED;
use crate::status::Fault;

/// Deepest nesting inside an unknown member; one bit a level remembers what encloses it.
const MAX_DEPTH: u32 = u64::BITS;

/// A place in a JSON text. Each step refuses what is not JSON with `RecordMalformed`.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

/// The inside of a JSON string, as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'t> {
    raw: &'t [u8],
    escaped: bool,
}

impl<'t> Text<'t> {
    /// As it stands, escapes and all.
    pub(super) fn raw(self) -> &'t [u8] {
        self.raw
    }

    /// What it stands for: the text itself when it has no escapes.
    pub(super) fn bytes(self) -> Result<Cow<'t, [u8]>, Fault> {
        Ok(if self.escaped { Cow::Owned(unescape(self.raw)?) } else { Cow::Borrowed(self.raw) })
    }

    /// What it stands for, which must be UTF-8.
    pub(super) fn string(self) -> Result<Cow<'t, str>, Fault> {
        match self.bytes()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| MALFORMED),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| MALFORMED),
        }
    }
}

impl<'t> Cursor<'t> {
    pub(super) fn new(text: &'t [u8]) -> Cursor<'t> {
        Cursor { text, at: 0 }
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Fault> {
        let byte = self.peek().ok_or(MALFORMED)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Fault> {
        if self.take(wanted) { Ok(()) } else { Err(MALFORMED) }
    }

    /// Steps over `wanted` if exactly that stands here.
    pub(super) fn literal(&mut self, wanted: &[u8]) -> Option<()> {
        let found = self.text[self.at..].starts_with(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found.then_some(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// White space to the end of the text, and nothing else.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(MALFORMED) }
    }

    /// An object: `member` is called after each name and must step over its value.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.space();
        self.expect(b'{')?;
        self.space();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            member(self, &name.bytes()?)?;
            self.space();
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(MALFORMED),
            }
        }
    }

    /// A member's name, up to where its value begins.
    fn name(&mut self) -> Result<Text<'t>, Fault> {
        self.space();
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(name)
    }

    /// A string.
    pub(super) fn string(&mut self) -> Result<Text<'t>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = next_special(self.text, self.at);
            match self.next()? {
                b'"' => return Ok(Text { raw: &self.text[start..self.at - 1], escaped }),
                b'\\' => escaped = true,
                _ => return Err(MALFORMED),
            }
            match self.next()? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                b'u' => {
                    let digits = self.text.get(self.at..self.at + 4).ok_or(MALFORMED)?;
                    if !digits.iter().all(u8::is_ascii_hexdigit) {
                        return Err(MALFORMED);
                    }
                    self.at += 4;
                }
                _ => return Err(MALFORMED),
            }
        }
    }

    /// What follows the opening quote of a string, when one begins here. Nothing is checked, nothing stepped over.
    pub(super) fn inside_string(&self) -> Option<&'t [u8]> {
        self.text[self.at..].strip_prefix(b"\"")
    }

    /// Steps over a string of `len` bytes that the caller has checked.
    pub(super) fn step_over_string(&mut self, len: usize) {
        self.at += len + 2;
    }

    /// An integer without fraction or exponent that every reader holds exactly.
    pub(super) fn integer(&mut self) -> Result<i64, Fault> {
        let negative = self.take(b'-');
        let start = self.at;
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value * 10 + i64::from(digit - b'0');
            if value > MAX_SAFE_INTEGER {
                return Err(MALFORMED);
            }
            self.at += 1;
        }
        let digits = &self.text[start..self.at];
        // `-0` is a floating-point number to other readers.
        let wellformed = match digits.first() {
            None => false,
            Some(b'0') => digits.len() == 1 && !negative,
            Some(_) => true,
        };
        if !wellformed || matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(MALFORMED);
        }
        Ok(if negative { -value } else { value })
    }

    /// `true`, `false` or `null`.
    pub(super) fn flag(&mut self) -> Result<(), Fault> {
        let words = [b"true".as_slice(), b"false", b"null"];
        words.into_iter().find_map(|word| self.literal(word)).ok_or(MALFORMED)
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(MALFORMED) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    /// Steps over any value, without recursion.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let mut in_object: u64 = 0;
        let mut depth = 0;
        loop {
            self.space();
            let opened = match self.peek().ok_or(MALFORMED)? {
                b'{' => Some(b'}'),
                b'[' => Some(b']'),
                b'"' => self.string().map(|_| None)?,
                b't' | b'f' | b'n' => self.flag().map(|()| None)?,
                _ => self.number().map(|()| None)?,
            };
            if let Some(close) = opened {
                self.at += 1;
                self.space();
                if !self.take(close) {
                    if depth == MAX_DEPTH {
                        return Err(MALFORMED);
                    }
                    depth += 1;
                    in_object = in_object << 1 | u64::from(close == b'}');
                    if close == b'}' {
                        self.name()?;
                    }
                    continue;
                }
            }
            // A value has ended, and with it as many of the enclosing ones as close here.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                match (self.next()?, in_object & 1 == 1) {
                    (b',', true) => {
                        self.name()?;
                        break;
                    }
                    (b',', false) => break,
                    (b'}', true) | (b']', false) => {
                        depth -= 1;
                        in_object >>= 1;
                    }
                    _ => return Err(MALFORMED),
                }
            }
        }
    }
}

/// Where the next quote, backslash or control character stands at or after `at`; the text's end if none does.
///
/// Eight bytes at a time: ids and names are too short for wider steps to pay.
fn next_special(text: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The lowest marked byte is below `limit` (at most 128); bytes above it may be marked wrongly by its borrow.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let special = quote | backslash | below(word, 0x20);
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = text.get(at..).unwrap_or_default();
    let special = tail.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    at + special.unwrap_or(tail.len())
}
