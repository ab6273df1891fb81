//! NSDictionary with string keys in insertion order: header fields, user info and the like.

use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// It is in a collection, and does not change any more. So no collection comes to hold itself,
    /// and none grows deeper from inside.
    frozen: bool,
    entries: RwLock<Vec<Entry>>,
    /// How deep the objects in it are.
    deepest: AtomicUsize,
}

begins_with_header!(Dictionary);

impl Dictionary {
    pub fn new(keys: Keys) -> Dictionary {
        Dictionary {
            header: Header::new(Class::Dictionary),
            keys,
            frozen: false,
            entries: RwLock::default(),
            deepest: AtomicUsize::new(0),
        }
    }

    /// Whether nothing can be set any more.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// A copy that cannot be changed, to be put into a collection.
    pub fn frozen(&self) -> Arc<Dictionary> {
        let mut copy = self.copy();
        copy.frozen = true;
        Arc::new(copy)
    }

    fn copy(&self) -> Dictionary {
        let copy = Dictionary::new(self.keys);
        for (key, object) in self.entries() {
            copy.set(&key, object);
        }
        copy
    }

    /// Sets the object of a key. A key that is there keeps its place and its spelling.
    pub fn set(&self, key: &str, object: Arc<dyn Object>) {
        self.deepest.fetch_max(object.depth(), Ordering::Relaxed);
        let mut entries = self.entries.writing();
        let before = match entries.iter_mut().find(|entry| self.same(&entry.key, key)) {
            Some(entry) => Some(std::mem::replace(&mut entry.object, object)),
            None => {
                entries.push(Entry {
                    key: c_string(key).into_boxed_c_str(),
                    object,
                });
                None
            }
        };
        // What was there may run the program's code as it goes: not under the lock.
        drop(entries);
        drop(before);
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
        let Some(other) = downcast::<Dictionary>(other) else {
            return false;
        };
        let (mine, theirs) = (self.entries(), other.entries());
        // As strictly as the stricter of the two, so that either says the same of the other.
        let same = |a: &str, b: &str| match (self.keys, other.keys) {
            (Keys::IgnoringCase, Keys::IgnoringCase) => a.eq_ignore_ascii_case(b),
            _ => a == b,
        };
        mine.len() == theirs.len()
            && mine.iter().all(|(key, object)| {
                let its = theirs.iter().find(|(other, _)| same(key, other));
                its.is_some_and(|(_, its)| object.equals(&**its))
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
        1 + self.deepest.load(Ordering::Relaxed)
    }

    fn copied(&self) -> Option<Arc<dyn Object>> {
        Some(Arc::new(self.copy()))
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
