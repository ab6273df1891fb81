//! HTTP header fields: an ordered list whose names are compared without regard to case.

use std::sync::Arc;

use super::dictionary::{Dictionary, Keys};
use super::object::{Object, downcast};
use super::string::Text;

/// Whether `text` is a token of RFC 9110: what a field name or a method may be.
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether `text` can be a field's value. A line break in it would start another field.
pub fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| !matches!(byte, b'\r' | b'\n' | 0))
}

/// Fields in order; one entry a name.
#[derive(Clone, Debug, Default)]
pub struct HeaderFields {
    fields: Vec<(String, String)>,
}

/// A field was refused because its name or value would not be one field on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

impl HeaderFields {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Replaces a field, or adds it. The last spelling of the name is kept.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        if !is_token(name) || !is_value(value) {
            return Err(Refused);
        }
        let value = value.trim_matches([' ', '\t']);
        match self
            .fields
            .iter_mut()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
        {
            Some(field) => *field = (name.to_owned(), value.to_owned()),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Appends to a field with a comma, or adds it.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Refused> {
        match self.get(name).map(|before| format!("{before},{value}")) {
            Some(joined) => self.set(name, &joined),
            None => self.set(name, value),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.fields
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.fields.retain(|(name, _)| keep(name));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub fn dictionary(&self) -> Arc<Dictionary> {
        let dictionary = Dictionary::new(Keys::IgnoringCase);
        for (name, value) in self.iter() {
            dictionary.set_string(name, value);
        }
        Arc::new(dictionary)
    }

    /// The fields of a dictionary, and the names of those that were refused: malformed ones and
    /// those whose object is not a string.
    pub fn from_dictionary(dictionary: &Dictionary) -> (HeaderFields, Vec<String>) {
        let mut fields = HeaderFields::default();
        let mut refused = Vec::new();
        for (name, object) in dictionary.entries() {
            let object: &dyn Object = &*object;
            let set = downcast::<Text>(object).map(|text| fields.set(&name, text.as_str()));
            if !matches!(set, Some(Ok(()))) {
                refused.push(name);
            }
        }
        (fields, refused)
    }
}

/// Order and spelling do not matter to whether two sets of fields are equal.
impl PartialEq for HeaderFields {
    fn eq(&self, other: &HeaderFields) -> bool {
        self.fields.len() == other.fields.len()
            && self
                .iter()
                .all(|(name, value)| other.get(name) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_values_join() {
        let mut fields = HeaderFields::default();
        fields.set("X-One", " a ").unwrap();
        fields.add("x-one", "b").unwrap();
        assert_eq!(fields.get("X-ONE"), Some("a,b"));
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("x-one", "a,b")]);
        fields.remove("X-one");
        assert!(fields.is_empty());
    }

    #[test]
    fn a_field_cannot_smuggle_another() {
        let mut fields = HeaderFields::default();
        for (name, value) in [
            ("A", "b\r\nC: d"),
            ("A\r\nB", "c"),
            ("A:", "b"),
            ("", "b"),
            ("A", "b\0c"),
            ("A b", "c"),
        ] {
            assert_eq!(fields.set(name, value), Err(Refused), "{name:?}: {value:?}");
        }
        assert!(fields.is_empty());
        fields.set("A", "grüße, \u{7f}").unwrap();
    }
}
