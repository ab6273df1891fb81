//! NSString: immutable UTF-8 text that C can read.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};

/// `text` for C. What follows an embedded NUL could not be seen there and is cut off.
pub fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[repr(C)]
pub struct Text {
    header: Header,
    text: CString,
}

begins_with_header!(Text);

impl Text {
    pub fn new(text: &str) -> Arc<Text> {
        Arc::new(Text {
            header: Header::new(Class::String),
            text: c_string(text),
        })
    }

    pub fn c_str(&self) -> &CStr {
        &self.text
    }

    pub fn as_str(&self) -> &str {
        self.text.to_str().unwrap_or_default()
    }
}

impl Object for Text {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        self.as_str().to_owned()
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Text>(other).is_some_and(|other| self.text == other.text)
    }

    fn hash_value(&self) -> u64 {
        hash_of(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_a_nul() {
        assert_eq!(Text::new("a\0b").as_str(), "a");
        assert_eq!(Text::new("grüße").as_str(), "grüße");
    }
}
