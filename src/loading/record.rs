//! The form of resume data: magic, version, fields (number, length, bytes), a checksum of all that.
//! Readers pass over fields whose number they do not know.

use std::cmp::Ordering;

use xxhash_rust::xxh3::xxh3_64;

/// Why bytes are no resume data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    Foreign,
    Newer,
    Damaged,
}

impl Unreadable {
    pub fn reason(self) -> &'static str {
        match self {
            Unreadable::Foreign => "These are no resume data of a task of this kind.",
            Unreadable::Newer => "The resume data were made by a newer version of the library.",
            Unreadable::Damaged => "The resume data are damaged.",
        }
    }
}

/// The checksum at the end.
pub const CHECKSUM: usize = 8;

pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(magic: &[u8], version: u8) -> Writer {
        Writer([magic, &[version]].concat())
    }

    pub fn put(&mut self, number: u8, value: &[u8]) {
        // Nothing in a request is that long.
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.0.push(number);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(&value[..length as usize]);
    }

    pub fn put_integer(&mut self, number: u8, value: u64) {
        self.put(number, &value.to_le_bytes());
    }

    pub fn seal(mut self) -> Vec<u8> {
        let checksum = xxh3_64(&self.0).to_le_bytes();
        self.0.extend_from_slice(&checksum);
        self.0
    }
}

/// The fields of a record, as they come.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn open(bytes: &'a [u8], magic: &[u8], version: u8) -> Result<Reader<'a>, Unreadable> {
        let rest = bytes.strip_prefix(magic).ok_or(Unreadable::Foreign)?;
        let (found, rest) = rest.split_first().ok_or(Unreadable::Damaged)?;
        match found.cmp(&version) {
            Ordering::Greater => return Err(Unreadable::Newer),
            Ordering::Less => return Err(Unreadable::Damaged),
            Ordering::Equal => {}
        }
        let (fields, checksum) = rest
            .split_last_chunk::<CHECKSUM>()
            .ok_or(Unreadable::Damaged)?;
        if xxh3_64(&bytes[..bytes.len() - CHECKSUM]).to_le_bytes() != *checksum {
            return Err(Unreadable::Damaged);
        }
        Ok(Reader(fields))
    }

    /// The next field; `Ok(None)` at the end.
    pub fn next(&mut self) -> Result<Option<(u8, Field<'a>)>, Unreadable> {
        let Some((number, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(Unreadable::Damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (value, rest) = rest.split_at_checked(length).ok_or(Unreadable::Damaged)?;
        self.0 = rest;
        Ok(Some((*number, Field(value))))
    }
}

pub struct Field<'a>(&'a [u8]);

impl Field<'_> {
    pub fn text(&self) -> Result<String, Unreadable> {
        String::from_utf8(self.0.to_vec()).map_err(|_| Unreadable::Damaged)
    }

    pub fn integer(&self) -> Result<u64, Unreadable> {
        let bytes = self.0.try_into().map_err(|_| Unreadable::Damaged)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
