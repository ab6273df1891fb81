//! What every object has: a header that tells its class, and the root behaviour of NSObject.

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The classes of objects. The number is part of the header's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    Data = 1,
    String,
    Array,
    Dictionary,
    Error,
    Request,
    Response,
    Configuration,
    Session,
    Task,
    Queue,
    Work,
    ResponseCompletion,
    RedirectionCompletion,
    InputStream,
    OutputStream,
    Progress,
    TaskMetrics,
    TransactionMetrics,
    DateInterval,
    BodyStreamCompletion,
}

/// All classes, in the order of their numbers.
pub const CLASSES: [Class; 21] = [
    Class::Data,
    Class::String,
    Class::Array,
    Class::Dictionary,
    Class::Error,
    Class::Request,
    Class::Response,
    Class::Configuration,
    Class::Session,
    Class::Task,
    Class::Queue,
    Class::Work,
    Class::ResponseCompletion,
    Class::RedirectionCompletion,
    Class::InputStream,
    Class::OutputStream,
    Class::Progress,
    Class::TaskMetrics,
    Class::TransactionMetrics,
    Class::DateInterval,
    Class::BodyStreamCompletion,
];

/// Upper bits of a live object's mark; memory that is not an object does not hold it by accident.
const MARK: u64 = 0x6e73_7572_6c73_0000;

/// First field of every object, so that a handle's class can be read before it is trusted.
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    mark: AtomicU64,
    /// References that the program outside holds, counted apart from the library's own.
    external: AtomicUsize,
}

impl Header {
    pub const fn new(class: Class) -> Header {
        Header {
            mark: AtomicU64::new(MARK | class as u64),
            external: AtomicUsize::new(0),
        }
    }

    /// The class, or `None` when this memory is no live object.
    pub fn class(&self) -> Option<Class> {
        let number = self.mark.load(Ordering::Relaxed) ^ MARK;
        CLASSES
            .get(usize::try_from(number).ok()?.checked_sub(1)?)
            .copied()
    }

    /// Notes one more reference from outside.
    pub fn add_external(&self) {
        self.external.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back one reference from outside. `None` when there was none to take back: the caller
    /// released a handle that it only borrowed. Otherwise whether that was the last one.
    pub fn remove_external(&self) -> Option<bool> {
        self.external
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |count| {
                count.checked_sub(1)
            })
            .ok()
            .map(|before| before == 1)
    }

    /// Whether the program outside holds a reference.
    pub fn is_external(&self) -> bool {
        self.external.load(Ordering::Acquire) > 0
    }
}

impl Drop for Header {
    fn drop(&mut self) {
        self.mark.store(0, Ordering::Relaxed);
    }
}

/// States that a type begins with its header, as every object does.
macro_rules! begins_with_header {
    ($type:ty) => {
        const _: () = assert!(std::mem::offset_of!($type, header) == 0);
    };
}
pub(crate) use begins_with_header;

/// The root behaviour of every class.
pub trait Object: Any + Send + Sync {
    fn header(&self) -> &Header;

    /// One line for a person who is debugging.
    fn description(&self) -> String;

    /// Equality by value; objects with identity are equal to themselves alone.
    fn equals(&self, other: &dyn Object) -> bool {
        self.address() == other.address()
    }

    /// Equal objects have equal hashes.
    fn hash_value(&self) -> u64 {
        hash_of(&self.address())
    }

    /// An independent copy of a mutable object; `None` when the object itself is its copy.
    fn copied(&self) -> Option<Arc<dyn Object>> {
        None
    }

    /// How many collections lie inside one another here.
    fn depth(&self) -> usize {
        0
    }

    /// Called when the program outside has released its last reference.
    fn external_references_gone(self: Arc<Self>) {}

    /// Where the object lies: its identity.
    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// `object` as the class `T`, if it is one.
pub fn downcast<T: Object>(object: &dyn Object) -> Option<&T> {
    (object as &dyn Any).downcast_ref()
}

/// Hashes a value for `hash_value`.
pub fn hash_of<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_read_from_its_mark() {
        for (index, class) in CLASSES.into_iter().enumerate() {
            assert_eq!(class as usize, index + 1);
            assert_eq!(Header::new(class).class(), Some(class));
        }
        let header = Header::new(Class::Task);
        header.mark.store(0, Ordering::Relaxed);
        assert_eq!(header.class(), None);
    }

    #[test]
    fn a_borrowed_reference_cannot_be_released() {
        let header = Header::new(Class::Data);
        assert_eq!(header.remove_external(), None);
        header.add_external();
        header.add_external();
        assert_eq!(header.remove_external(), Some(false));
        assert!(header.is_external());
        assert_eq!(header.remove_external(), Some(true));
        assert_eq!(header.remove_external(), None);
    }
}
