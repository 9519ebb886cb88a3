//! A String Item of [RFC 9651], section 4.2.3, with whatever parameters.
//!
//! [RFC 9651]: https://www.rfc-editor.org/rfc/rfc9651#name-parsing-an-item

/// The text of `value`, which is one Item whose bare item is a String. Parameters have to be right,
/// and then mean nothing.
pub(super) fn string(value: &[u8]) -> Option<String> {
    let mut input = Input(value);
    let text = input.string()?;
    input.parameters()?;
    input.0.is_empty().then_some(text)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.while_in(|byte| byte == b' ');
            self.name()?;
            if self.take(b'=') {
                self.bare_item()?;
            }
        }
        Some(())
    }

    fn name(&mut self) -> Option<()> {
        let name = self
            .while_in(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'));
        matches!(name.first()?, b'a'..=b'z' | b'*').then_some(())
    }

    fn bare_item(&mut self) -> Option<()> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b'"' => self.string().map(drop),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                self.while_in(is_in_token);
                Some(())
            }
            b':' => self.bytes(),
            b'?' => {
                self.next();
                matches!(self.next()?, b'0' | b'1').then_some(())
            }
            b'@' => {
                self.next();
                // A date is a number of seconds, without decimals.
                (self.number()? == Number::Integer).then_some(())
            }
            b'%' => self.display_string(),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<String> {
        if !self.take(b'"') {
            return None;
        }
        let mut text = String::new();
        loop {
            let byte = match self.next()? {
                b'"' => return Some(text),
                b'\\' => self.next().filter(|byte| matches!(byte, b'"' | b'\\'))?,
                byte @ b' '..=b'~' => byte,
                _ => return None,
            };
            text.push(char::from(byte));
        }
    }

    fn number(&mut self) -> Option<Number> {
        self.take(b'-');
        let whole = self.digits();
        if !self.take(b'.') {
            return (1..=15).contains(&whole).then_some(Number::Integer);
        }
        let fraction = self.digits();
        let fits = (1..=12).contains(&whole) && (1..=3).contains(&fraction);
        fits.then_some(Number::Decimal)
    }

    fn digits(&mut self) -> usize {
        self.while_in(|byte| byte.is_ascii_digit()).len()
    }

    /// Base64 with as much of its padding as the sender liked.
    fn bytes(&mut self) -> Option<()> {
        self.next();
        let data =
            self.while_in(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        let padding = self.while_in(|byte| byte == b'=').len();
        let most = match data.len() % 4 {
            0 => 0,
            2 => 2,
            3 => 1,
            _ => return None,
        };
        (padding <= most && self.take(b':')).then_some(())
    }

    /// Unicode, each byte beyond ASCII as `%` and two digits in lower case.
    fn display_string(&mut self) -> Option<()> {
        self.next();
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return std::str::from_utf8(&text).ok().map(drop),
                b'%' => text.push(hex(self.next()?)? << 4 | hex(self.next()?)?),
                byte @ b' '..=b'~' => text.push(byte),
                _ => return None,
            }
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let rest = self.0.strip_prefix(&[byte]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn while_in(&mut self, set: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !set(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}

#[derive(PartialEq)]
enum Number {
    Integer,
    Decimal,
}

fn is_in_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
