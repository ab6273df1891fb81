//! NSArray: an immutable list of objects.

use std::sync::Arc;

use super::object::{Class, Header, Object, begins_with_header, downcast, hash_of};

#[repr(C)]
pub struct Array {
    header: Header,
    objects: Vec<Arc<dyn Object>>,
    depth: usize,
}

begins_with_header!(Array);

impl Array {
    pub fn new(objects: Vec<Arc<dyn Object>>) -> Arc<Array> {
        let deepest = objects.iter().map(|object| object.depth()).max();
        Arc::new(Array {
            header: Header::new(Class::Array),
            objects,
            depth: 1 + deepest.unwrap_or(0),
        })
    }

    pub fn objects(&self) -> &[Arc<dyn Object>] {
        &self.objects
    }
}

impl Object for Array {
    fn header(&self) -> &Header {
        &self.header
    }

    fn description(&self) -> String {
        let objects: Vec<String> = self
            .objects
            .iter()
            .map(|object| object.description())
            .collect();
        format!("({})", objects.join(", "))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        downcast::<Array>(other).is_some_and(|other| {
            self.objects.len() == other.objects.len()
                && self
                    .objects
                    .iter()
                    .zip(&other.objects)
                    .all(|(a, b)| a.equals(&**b))
        })
    }

    fn depth(&self) -> usize {
        self.depth
    }

    fn hash_value(&self) -> u64 {
        let hashes: Vec<u64> = self
            .objects
            .iter()
            .map(|object| object.hash_value())
            .collect();
        hash_of(&hashes)
    }
}
