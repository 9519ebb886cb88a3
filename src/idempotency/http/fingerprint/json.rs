//! What a JSON text says, without how it says it.
//!
//! Read here and not by a library: the usual ones turn numbers into floats, and two amounts that
//! differ in the last digit into one.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;

/// How deep texts may be nested: what the libraries allow too, and no stack ends there.
const DEEPEST: u32 = 128;

/// The canonical form of a body that is JSON by its type and in fact.
pub(super) fn canonical(parts: &Parts, body: &Bytes) -> Option<Vec<u8>> {
    if parts.headers.contains_key(CONTENT_ENCODING) || !is_json(parts) {
        return None;
    }
    read(body)
}

fn is_json(parts: &Parts) -> bool {
    let Some(value) = parts.headers.get(CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii().to_ascii_lowercase();
    essence == b"application/json" || essence.ends_with(b"+json")
}

/// A letter for what each value is, lengths before texts, counts before lists, members sorted by
/// their names: no two values have the same form.
fn read(text: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader { rest: text, out: Vec::with_capacity(text.len()) };
    reader.value(DEEPEST)?;
    reader.space();
    reader.rest.is_empty().then_some(reader.out)
}

struct Reader<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: u32) -> Option<()> {
        self.space();
        match self.rest.first()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.list(depth.checked_sub(1)?),
            b'"' => {
                let text = self.text()?;
                self.part(b's', text.as_bytes());
                Some(())
            }
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                self.part(b'#', number);
                Some(())
            }
            first => {
                let word: &[u8] = match first {
                    b't' => b"true",
                    b'f' => b"false",
                    _ => b"null",
                };
                self.rest = self.rest.strip_prefix(word)?;
                self.out.push(*first);
                Some(())
            }
        }
    }

    fn list(&mut self, depth: u32) -> Option<()> {
        let start = self.begin(b'[');
        let mut count = 0;
        self.elements(b']', |reader| {
            count += 1;
            reader.value(depth)
        })?;
        self.end(start, count);
        Some(())
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        let start = self.begin(b'{');
        let first = self.out.len();
        let mut members: Vec<(String, Vec<u8>)> = Vec::new();
        self.elements(b'}', |reader| {
            reader.space();
            let name = reader.text()?;
            reader.space();
            reader.take(b':')?;
            reader.value(depth)?;
            members.push((name, reader.out.split_off(first)));
            Some(())
        })?;
        members.sort_unstable();
        // Which of the two counts, each reader of JSON says for itself.
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        self.end(start, members.len() as u64);
        for (name, value) in members {
            self.part(b's', name.as_bytes());
            self.out.extend(value);
        }
        Some(())
    }

    /// What stands between commas, up to `close`.
    fn elements(
        &mut self,
        close: u8,
        mut element: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.rest = &self.rest[1..];
        self.space();
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            self.space();
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let text = self.rest;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(&text[..text.len() - self.rest.len()])
    }

    fn digits(&mut self) -> Option<()> {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit());
        let end = end.unwrap_or(self.rest.len());
        self.rest = &self.rest[end..];
        (end > 0).then_some(())
    }

    fn text(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut text = Vec::new();
        loop {
            let (first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match first {
                b'"' => return String::from_utf8(text).ok(),
                b'\\' => self.escape(&mut text)?,
                ..=0x1f => return None,
                byte => text.push(*byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        text.push(match first {
            b'"' | b'\\' | b'/' => *first,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let char = self.unicode()?;
                text.extend(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    /// Half of a pair is no character.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first);
        }
        self.take(b'\\')?;
        self.take(b'u')?;
        let second = self.four_digits()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + second)
    }

    fn four_digits(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        self.rest = rest;
        digits
            .iter()
            .try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
    }

    fn space(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn part(&mut self, kind: u8, bytes: &[u8]) {
        self.out.push(kind);
        self.out.extend((bytes.len() as u64).to_be_bytes());
        self.out.extend(bytes);
    }

    /// Leaves room for a count.
    fn begin(&mut self, kind: u8) -> usize {
        self.out.push(kind);
        let start = self.out.len();
        self.out.extend([0; 8]);
        start
    }

    fn end(&mut self, start: usize, count: u64) {
        self.out[start..start + 8].copy_from_slice(&count.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
