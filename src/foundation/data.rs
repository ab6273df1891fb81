//! NSData: immutable bytes, shared without copying.

use std::fmt::Write;
use std::sync::Arc;

use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};

/// Bytes that live somewhere else, for instance in memory that a caller handed over.
pub trait Bytes: Send + Sync {
    fn bytes(&self) -> &[u8];
}

enum Storage {
    Owned(Vec<u8>),
    Adopted(Box<dyn Bytes>),
}

#[repr(C)]
pub struct Data {
    header: Header,
    storage: Storage,
}

begins_with_header!(Data);

impl Data {
    pub fn new(bytes: Vec<u8>) -> Arc<Data> {
        Arc::new(Data {
            header: Header::new(Class::Data),
            storage: Storage::Owned(bytes),
        })
    }

    pub fn adopting(bytes: Box<dyn Bytes>) -> Arc<Data> {
        Arc::new(Data {
            header: Header::new(Class::Data),
            storage: Storage::Adopted(bytes),
        })
    }

    pub fn bytes(&self) -> &[u8] {
        match &self.storage {
            Storage::Owned(bytes) => bytes,
            Storage::Adopted(bytes) => bytes.bytes(),
        }
    }

    /// The buffer, to be filled again, when nobody else holds the data.
    pub fn into_buffer(self: Arc<Self>) -> Option<Vec<u8>> {
        match Arc::into_inner(self)?.storage {
            Storage::Owned(buffer) => Some(buffer),
            Storage::Adopted(_) => None,
        }
    }
}

impl Object for Data {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        const SHOWN: usize = 24;
        let bytes = self.bytes();
        let mut text = format!("<data: {} bytes", bytes.len());
        if !bytes.is_empty() {
            text.push_str(", ");
            for byte in bytes.iter().take(SHOWN) {
                let _ = write!(text, "{byte:02x}");
            }
            if bytes.len() > SHOWN {
                text.push('…');
            }
        }
        text.push('>');
        text
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Data>(other).is_some_and(|other| self.bytes() == other.bytes())
    }

    fn hash_value(&self) -> u64 {
        hash_of(self.bytes())
    }
}
