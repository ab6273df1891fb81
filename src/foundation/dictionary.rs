//! NSDictionary with string keys in insertion order: header fields, user info and the like.

use std::ffi::CStr;
use std::sync::{Arc, RwLock};

use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};
use super::string::{Text, c_string};
use super::sync::SharedLock;

/// How keys are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Exact,
    /// Without regard to ASCII case, as the names of header fields are.
    IgnoringCase,
}

struct Entry {
    /// Boxed and never removed: C holds on to it for as long as the dictionary lives.
    key: Box<CStr>,
    object: Arc<dyn Object>,
}

#[repr(C)]
pub struct Dictionary {
    header: Header,
    keys: Keys,
    entries: RwLock<Vec<Entry>>,
}

begins_with_header!(Dictionary);

impl Dictionary {
    pub fn new(keys: Keys) -> Dictionary {
        Dictionary {
            header: Header::new(Class::Dictionary),
            keys,
            entries: RwLock::default(),
        }
    }

    /// Sets the object of a key. A key that is there keeps its place and its spelling.
    pub fn set(&self, key: &str, object: Arc<dyn Object>) {
        let mut entries = self.entries.writing();
        if let Some(entry) = entries.iter_mut().find(|entry| self.same(&entry.key, key)) {
            entry.object = object;
        } else {
            entries.push(Entry {
                key: c_string(key).into_boxed_c_str(),
                object,
            });
        }
    }

    pub fn set_string(&self, key: &str, value: &str) {
        self.set(key, Text::new(value));
    }

    pub fn get(&self, key: &str) -> Option<Arc<dyn Object>> {
        let entries = self.entries.reading();
        entries
            .iter()
            .find(|entry| self.same(&entry.key, key))
            .map(|entry| Arc::clone(&entry.object))
    }

    pub fn string(&self, key: &str) -> Option<String> {
        self.get(key)
            .and_then(|object| downcast::<Text>(&*object).map(|text| text.as_str().to_owned()))
    }

    pub fn len(&self) -> usize {
        self.entries.reading().len()
    }

    /// Calls `visit` with the key at `index`, which stays where it is while the dictionary lives.
    pub fn key_at<R>(&self, index: usize, visit: impl FnOnce(&CStr) -> R) -> Option<R> {
        let entries = self.entries.reading();
        entries.get(index).map(|entry| visit(&entry.key))
    }

    /// Keys and objects as they are now.
    pub fn entries(&self) -> Vec<(String, Arc<dyn Object>)> {
        let entries = self.entries.reading();
        entries
            .iter()
            .map(|entry| {
                (
                    entry.key.to_string_lossy().into_owned(),
                    Arc::clone(&entry.object),
                )
            })
            .collect()
    }

    fn same(&self, key: &CStr, other: &str) -> bool {
        match self.keys {
            Keys::Exact => key.to_bytes() == other.as_bytes(),
            Keys::IgnoringCase => key.to_bytes().eq_ignore_ascii_case(other.as_bytes()),
        }
    }
}

impl Object for Dictionary {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let entries: Vec<String> = self
            .entries()
            .iter()
            .map(|(key, object)| format!("{key} = {}", object.description()))
            .collect();
        format!("{{{}}}", entries.join("; "))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        if self.address() == other.address() {
            return true;
        }
        downcast::<Dictionary>(other).is_some_and(|other| {
            let mine = self.entries();
            mine.len() == other.len()
                && mine
                    .iter()
                    .all(|(key, object)| other.get(key).is_some_and(|its| object.equals(&*its)))
        })
    }

    fn hash_value(&self) -> u64 {
        // Order does not matter to equality, nor may the case of keys.
        self.entries()
            .iter()
            .map(|(key, object)| hash_of(&(key.to_ascii_lowercase(), object.hash_value())))
            .fold(0, u64::wrapping_add)
    }

    fn depth(&self) -> usize {
        1 + self
            .entries()
            .iter()
            .map(|(_, object)| object.depth())
            .max()
            .unwrap_or(0)
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        let copy = Dictionary::new(self.keys);
        for (key, object) in self.entries() {
            copy.set(&key, object);
        }
        Some(Arc::new(copy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_first_spelling() {
        let dictionary = Dictionary::new(Keys::IgnoringCase);
        dictionary.set_string("B", "1");
        dictionary.set_string("a", "2");
        dictionary.set_string("b", "3");
        assert_eq!(dictionary.description(), "{B = 3; a = 2}");
        assert_eq!(dictionary.string("A").as_deref(), Some("2"));
        assert!(Dictionary::new(Keys::Exact).get("x").is_none());
    }

    #[test]
    fn equality_does_not_regard_order() {
        let (a, b) = (Dictionary::new(Keys::Exact), Dictionary::new(Keys::Exact));
        a.set_string("1", "x");
        a.set_string("2", "y");
        b.set_string("2", "y");
        b.set_string("1", "x");
        assert!(a.equals(&b));
        assert_eq!(a.hash_value(), b.hash_value());
        b.set_string("1", "z");
        assert!(!a.equals(&b));
    }
}
