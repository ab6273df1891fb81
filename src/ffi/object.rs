//! Handles, and the verbs that every object has.

use std::ffi::c_void;
use std::sync::Arc;

use super::guard::{guarded, misuse};
use super::types::{Handle, nsurlsession_string_t};
use crate::engine::process;
use crate::foundation::array::Array;
use crate::foundation::bound_pair::OutputStream;
use crate::foundation::data::Data;
use crate::foundation::date_interval::DateInterval;
use crate::foundation::dictionary::Dictionary;
use crate::foundation::error::Error;
use crate::foundation::object::{Class, Header, Object, downcast};
use crate::foundation::progress::Progress;
use crate::foundation::queue::{Queue, Work};
use crate::foundation::stream::InputStream;
use crate::foundation::string::Text;
use crate::loading::metrics::{TaskMetrics, TransactionMetrics};
use crate::loading::request::Request;
use crate::loading::response::Response;
use crate::session::Session;
use crate::session::configuration::Configuration;
use crate::task::Task;
use crate::task::completion::{BodyStreamCompletion, RedirectionCompletion, ResponseCompletion};

/// An object that C can hold: its header lies first.
pub trait Exported: Object {
    const CLASS: Class;

    /// Whether it works in this process: threads do not survive a fork.
    fn is_of_this_process(&self) -> bool {
        true
    }
}

macro_rules! exported {
    ($($object:ident is $class:ident $(if $check:ident)?;)*) => {$(
        impl Exported for $object {
            const CLASS: Class = Class::$class;
            $(fn is_of_this_process(&self) -> bool {
                self.$check()
            })?
        }
    )*};
}

exported! {
    Data is Data;
    Text is String;
    Array is Array;
    Dictionary is Dictionary;
    Error is Error;
    Request is Request;
    Response is Response;
    Configuration is Configuration;
    Session is Session if is_of_this_process;
    Task is Task if is_of_this_process;
    Queue is Queue if is_of_this_process;
    Work is Work;
    ResponseCompletion is ResponseCompletion if is_of_this_process;
    RedirectionCompletion is RedirectionCompletion if is_of_this_process;
    InputStream is InputStream;
    OutputStream is OutputStream;
    Progress is Progress;
    TaskMetrics is TaskMetrics;
    TransactionMetrics is TransactionMetrics;
    DateInterval is DateInterval;
    BodyStreamCompletion is BodyStreamCompletion if is_of_this_process;
}

/// Calls `$body` with `$type` standing for the type of a class.
macro_rules! with_type_of {
    ($class:expr, $type:ident => $body:expr) => {
        match $class {
            Class::Data => {
                type $type = Data;
                $body
            }
            Class::String => {
                type $type = Text;
                $body
            }
            Class::Array => {
                type $type = Array;
                $body
            }
            Class::Dictionary => {
                type $type = Dictionary;
                $body
            }
            Class::Error => {
                type $type = Error;
                $body
            }
            Class::Request => {
                type $type = Request;
                $body
            }
            Class::Response => {
                type $type = Response;
                $body
            }
            Class::Configuration => {
                type $type = Configuration;
                $body
            }
            Class::Session => {
                type $type = Session;
                $body
            }
            Class::Task => {
                type $type = Task;
                $body
            }
            Class::Queue => {
                type $type = Queue;
                $body
            }
            Class::Work => {
                type $type = Work;
                $body
            }
            Class::ResponseCompletion => {
                type $type = ResponseCompletion;
                $body
            }
            Class::RedirectionCompletion => {
                type $type = RedirectionCompletion;
                $body
            }
            Class::InputStream => {
                type $type = InputStream;
                $body
            }
            Class::OutputStream => {
                type $type = OutputStream;
                $body
            }
            Class::Progress => {
                type $type = Progress;
                $body
            }
            Class::TaskMetrics => {
                type $type = TaskMetrics;
                $body
            }
            Class::TransactionMetrics => {
                type $type = TransactionMetrics;
                $body
            }
            Class::DateInterval => {
                type $type = DateInterval;
                $body
            }
            Class::BodyStreamCompletion => {
                type $type = BodyStreamCompletion;
                $body
            }
        }
    };
}

/// The class of what a pointer points to, if that is a live object of ours.
fn class_of(pointer: *const c_void) -> Option<Class> {
    let header = pointer.cast::<Header>();
    if header.is_null() || !header.is_aligned() {
        return None;
    }
    // SAFETY: a handle of the caller's points to an object, which begins with its header. Anything
    // else breaks the header's contract; as far as it is readable memory, its mark tells.
    unsafe { (*header).class() }
}

/// The object that a handle stands for. `None` for NULL, and for a handle of another class or from
/// before a fork, which is logged.
pub fn borrowed<H: Handle>(handle: *const H, function: &str) -> Option<Arc<H::Object>> {
    if handle.is_null() {
        return None;
    }
    match class_of(handle.cast()) {
        Some(class) if class == H::Object::CLASS => {}
        Some(class) => {
            misuse(
                function,
                &format!("the handle is a {class:?}, not a {:?}", H::Object::CLASS),
            );
            return None;
        }
        None => {
            misuse(function, "the handle is no object, or was released already");
            return None;
        }
    }
    // SAFETY: the class says that this is such an object, all of which live in an Arc, and the
    // caller holds a reference for the duration of the call.
    let object = unsafe { arc::<H::Object>(handle.cast()) };
    if object.is_of_this_process() {
        return Some(object);
    }
    misuse(
        function,
        "the object is from before a fork; its threads are not in this process",
    );
    // Dropping it could do things that only its own process may do.
    std::mem::forget(object);
    None
}

/// An object to be put into a collection. Dictionaries are frozen (see there), and what is nested too
/// deeply is refused: freeing it would need as much stack.
pub(super) fn element(pointer: *const c_void, function: &str) -> Option<Arc<dyn Object>> {
    const DEEPEST: usize = 64;
    let object = borrowed_any(pointer, function)?;
    if object.depth() >= DEEPEST {
        misuse(function, "collections are nested too deeply");
        return None;
    }
    Some(match downcast::<Dictionary>(&*object) {
        Some(dictionary) if !dictionary.is_frozen() => dictionary.frozen(),
        _ => object,
    })
}

/// One more reference to the object at `pointer`.
///
/// # Safety
/// `pointer` came from an `Arc<T>` that is still alive.
unsafe fn arc<T>(pointer: *const c_void) -> Arc<T> {
    // SAFETY: by this function's own contract.
    unsafe {
        Arc::increment_strong_count(pointer.cast::<T>());
        Arc::from_raw(pointer.cast::<T>())
    }
}

/// Any object, with its class found out.
pub(super) fn borrowed_any(pointer: *const c_void, function: &str) -> Option<Arc<dyn Object>> {
    if pointer.is_null() {
        return None;
    }
    let Some(class) = class_of(pointer) else {
        misuse(function, "the handle is no object, or was released already");
        return None;
    };
    // SAFETY: as in `borrowed`.
    Some(with_type_of!(class, T => unsafe { arc::<T>(pointer) }))
}

/// Gives an object to the caller, who is to release it.
pub fn handed_out<H: Handle>(object: Arc<H::Object>) -> *mut H {
    // Whoever holds an object may fork, and wants to read what happens.
    process::prepare();
    object.header().add_external();
    Arc::into_raw(object).cast_mut().cast()
}

/// The same for what may not be there.
pub fn handed_out_option<H: Handle>(object: Option<Arc<H::Object>>) -> *mut H {
    object.map_or(std::ptr::null_mut(), handed_out)
}

/// Gives an object of any class to the caller.
pub fn handed_out_any(object: Arc<dyn Object>) -> *mut c_void {
    object.header().add_external();
    Arc::into_raw(object).cast_mut().cast()
}

/// A handle that a callback may use while it runs.
pub fn lent<H: Handle>(object: &Arc<H::Object>) -> *mut H {
    Arc::as_ptr(object).cast_mut().cast()
}

/// The same for what may not be there.
pub fn lent_option<H: Handle>(object: Option<&Arc<H::Object>>) -> *mut H {
    object.map_or(std::ptr::null_mut(), lent)
}

/*
 * NSObject: what every object has.
 */

/// -[NSObject retain]. Adds a reference to an object and returns it. Any thread may call this,
/// also for a handle that a callback lent. NULL, or what is no object: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_retain(object: *const c_void) -> *mut c_void {
    guarded("nsurlsession_retain", std::ptr::null_mut(), || {
        borrowed_any(object, "nsurlsession_retain").map_or(std::ptr::null_mut(), handed_out_any)
    })
}

/// -[NSObject release]. Gives a reference back; with the last one the object is freed. Any thread
/// may call this, inside any callback; it never waits. NULL does nothing. A handle that was only
/// lent is not released: that is logged. A task that is suspended, or was never resumed, is
/// cancelled when neither it nor its session nor its progress can be used to resume it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_release(object: *const c_void) {
    const NAME: &str = "nsurlsession_release";
    guarded(NAME, (), || {
        if object.is_null() {
            return;
        }
        let Some(class) = class_of(object) else {
            return misuse(NAME, "the handle is no object, or was released already");
        };
        // SAFETY: the class was found out and says which type this is.
        with_type_of!(class, T => unsafe { release::<T>(object) });
    });
}

/// Takes back one reference of the caller's.
///
/// # Safety
/// `pointer` came from an `Arc<T>` that is still alive.
unsafe fn release<T: Exported>(pointer: *const c_void) {
    const NAME: &str = "nsurlsession_release";
    // SAFETY: by this function's own contract.
    let object = unsafe { arc::<T>(pointer) };
    if !object.is_of_this_process() {
        // Its threads are in the parent process, and so is what they would have to undo.
        std::mem::forget(object);
        return;
    }
    match object.header().remove_external() {
        None => misuse(
            NAME,
            "the handle was only lent, or was released already: nothing is released",
        ),
        Some(last) => {
            // SAFETY: the reference that `handed_out` gave to the caller, who gives it back.
            let theirs = unsafe { Arc::from_raw(pointer.cast::<T>()) };
            if last {
                object.external_references_gone();
            }
            drop(theirs);
        }
    }
}

/// -[NSObject copy]. An independent copy of a mutable object (request, configuration, dictionary);
/// otherwise the object itself, retained. The caller releases it. NULL, or what is no object: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_copy(object: *const c_void) -> *mut c_void {
    guarded("nsurlsession_copy", std::ptr::null_mut(), || {
        borrowed_any(object, "nsurlsession_copy").map_or(std::ptr::null_mut(), |object| {
            handed_out_any(object.copied().unwrap_or(object))
        })
    })
}

/// -[NSObject isEqual:]. Whether two objects are equal: values by what they hold; sessions, tasks
/// and queues when they are the same. NULL equals nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_is_equal(
    object: *const c_void,
    other: *const c_void,
) -> bool {
    const NAME: &str = "nsurlsession_is_equal";
    guarded(NAME, false, || {
        match (borrowed_any(object, NAME), borrowed_any(other, NAME)) {
            (Some(object), Some(other)) => object.equals(&*other),
            _ => false,
        }
    })
}

/// -[NSObject hash]. A number that is the same for equal objects. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_hash(object: *const c_void) -> usize {
    guarded("nsurlsession_hash", 0, || {
        borrowed_any(object, "nsurlsession_hash").map_or(0, |object| object.hash_value() as usize)
    })
}

/// -[NSObject description]. One line about an object for a person who is debugging; what it says
/// may change from version to version. The caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_description(
    object: *const c_void,
) -> *mut nsurlsession_string_t {
    guarded("nsurlsession_description", std::ptr::null_mut(), || {
        let object = borrowed_any(object, "nsurlsession_description");
        handed_out_option(object.map(|object| Text::new(&object.description())))
    })
}
