//! The query of a request: percent-decoding and typed access to the parameters.
//!
//! Values are bytes, not text, because `/raw` and the header values of `/status` must be able to
//! carry anything, NUL and invalid UTF-8 included.

use crate::exchange::{Failure, bad};

pub struct Params(Vec<(String, Vec<u8>)>);

impl Params {
    pub fn parse(query: &[u8]) -> Result<Self, Failure> {
        let mut list = Vec::new();
        for pair in query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|&b| b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            let name = String::from_utf8(decode(name)?)
                .map_err(|_| bad("a parameter's name is not UTF-8"))?;
            list.push((name, decode(value)?));
        }
        Ok(Self(list))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.as_slice())
    }

    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_slice())
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        self.get(name)
            .map(|value| std::str::from_utf8(value).map_err(|_| bad(format!("{name}: not UTF-8"))))
            .transpose()
    }

    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?
            .ok_or_else(|| bad(format!("the parameter {name} is missing")))
    }

    /// `a=1` and a bare `a` are set; `a=0` and no `a` at all are not.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != b"0")
    }

    pub fn number_if_any(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1 << 10),
            Some(b'm') => (&text[..text.len() - 1], 1 << 20),
            Some(b'g') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        let number = digits.parse::<u64>().ok();
        number
            .and_then(|number| number.checked_mul(unit))
            .map(Some)
            .ok_or_else(|| bad(format!("{name}: not a number: {text:?}")))
    }

    pub fn number(&self, name: &str, default: u64) -> Result<u64, Failure> {
        Ok(self.number_if_any(name)?.unwrap_or(default))
    }

    pub fn required_number(&self, name: &str) -> Result<u64, Failure> {
        self.required(name)?;
        self.number(name, 0)
    }

    /// A status code: three digits, whether it means anything or not.
    pub fn code(&self, default: u16) -> Result<u16, Failure> {
        match self.number("code", u64::from(default))? {
            code @ 100..=999 => Ok(code as u16),
            _ => Err(bad("code: not between 100 and 999")),
        }
    }
}

pub fn decode(text: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|&b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(bad("a % without two hexadecimal digits")),
        }
    }
    Ok(out)
}
