//! NSOperationQueue, and executors.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::delegate::{Versioned, copied};
use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option, lent};
use super::string::{owned_text, text};
use super::types::{
    OwnedContext, nsurlsession_operation_block_t, nsurlsession_queue_t,
    nsurlsession_release_block_t, nsurlsession_string_t, nsurlsession_work_t,
};
use crate::foundation::queue::{Block, Executor, Queue, RunResult, Work};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct nsurlsession_executor_t {
    pub struct_size: usize,
    pub context: *mut c_void,
    pub release: nsurlsession_release_block_t,
    pub execute:
        Option<unsafe extern "C-unwind" fn(context: *mut c_void, work: *mut nsurlsession_work_t)>,
}

// SAFETY: a size, a pointer and optional function pointers.
unsafe impl Versioned for nsurlsession_executor_t {
    const FIRST_VERSION: usize = size_of::<nsurlsession_executor_t>();
}

/// An executor of the caller's.
struct CExecutor {
    execute: unsafe extern "C-unwind" fn(context: *mut c_void, work: *mut nsurlsession_work_t),
    context: OwnedContext,
}

impl Executor for CExecutor {
    fn execute(&self, work: &Arc<Work>) {
        // SAFETY: the caller's function with the caller's context and a handle that lives on.
        callback(|| unsafe { (self.execute)(self.context.pointer(), lent(work)) });
    }
}

/// A block of the caller's. Its context is released when this is dropped, run or not.
struct CBlock {
    block: nsurlsession_operation_block_t,
    context: OwnedContext,
}

impl Block for CBlock {
    fn run(&mut self) {
        if let Some(block) = self.block.take() {
            // SAFETY: the caller's function with the caller's context, called once.
            callback(|| unsafe { block(self.context.pointer()) });
        }
    }
}

/// -[NSOperationQueue init]. A queue that the caller runs: callbacks of sessions that have it as
/// their delegate queue run inside nsurlsession_queue_run, _run_until_date or _poll, on the thread
/// that calls them. Queues are serial. When the caller releases its last reference while sessions
/// still need the queue, a thread of the library's runs what is left. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_new() -> *mut nsurlsession_queue_t {
    guarded("nsurlsession_queue_new", std::ptr::null_mut(), || {
        handed_out(Queue::caller("queue"))
    })
}

/// +[NSOperationQueue mainQueue]. The queue of the main thread, which runs it by
/// nsurlsession_queue_run and the like; other threads cannot. The caller releases the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_main() -> *mut nsurlsession_queue_t {
    guarded("nsurlsession_queue_main", std::ptr::null_mut(), || {
        handed_out(Queue::main())
    })
}

/// +[NSOperationQueue currentQueue]. The queue whose operation this thread is running, retained:
/// the caller releases it. None: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_current() -> *mut nsurlsession_queue_t {
    guarded("nsurlsession_queue_current", std::ptr::null_mut(), || {
        handed_out_option(Queue::current())
    })
}

/// A queue that runs on threads of the caller's, by an executor, which is copied (see
/// nsurlsession_executor_t). Its callbacks never overlap and keep their order, however many threads
/// the executor has. The caller releases the queue. NULL, or an executor without `execute`: NULL,
/// and its context is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_with_executor(
    executor: *const nsurlsession_executor_t,
) -> *mut nsurlsession_queue_t {
    const NAME: &str = "nsurlsession_queue_with_executor";
    guarded(NAME, std::ptr::null_mut(), || {
        let Some(executor) = copied(executor, NAME) else {
            return std::ptr::null_mut();
        };
        let context = OwnedContext::new(executor.context, executor.release);
        let Some(execute) = executor.execute else {
            misuse(NAME, "an executor needs a function `execute`");
            return std::ptr::null_mut();
        };
        handed_out(Queue::executor(
            Box::new(CExecutor { execute, context }),
            "executor",
        ))
    })
}

fn run(queue: *mut nsurlsession_queue_t, name: &str, deadline: Option<Instant>) -> bool {
    guarded(name, false, || {
        let Some(queue) = borrowed(queue, name) else {
            return false;
        };
        let result = queue.run(deadline);
        if result == RunResult::NotHere {
            misuse(
                name,
                "this thread cannot run that queue: the library or an executor runs it, or the main thread",
            );
        }
        result == RunResult::Stopped
    })
}

/// Runs operations and callbacks on this thread, waiting for more, until nsurlsession_queue_stop.
/// True when it was stopped; false at once for NULL and for a queue that this thread cannot run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_run(queue: *mut nsurlsession_queue_t) -> bool {
    run(queue, "nsurlsession_queue_run", None)
}

/// As nsurlsession_queue_run, but no longer than until `date`, in seconds since 1970. True when it
/// was stopped, false when the date came. Not a number counts as a date that has passed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_run_until_date(
    queue: *mut nsurlsession_queue_t,
    date: f64,
) -> bool {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |now| now.as_secs_f64());
    let left = Duration::try_from_secs_f64((date - now).max(0.0));
    let start = Instant::now();
    // Beyond what can be counted: without end.
    let deadline = match left {
        Ok(left) => start.checked_add(left),
        Err(_) if date.is_nan() => Some(start),
        Err(_) => None,
    };
    run(queue, "nsurlsession_queue_run_until_date", deadline)
}

/// Runs on this thread what there is to run now, without waiting. Returns how many operations and
/// batches of callbacks that were; 0 for NULL and for a queue that this thread cannot run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_poll(queue: *mut nsurlsession_queue_t) -> usize {
    const NAME: &str = "nsurlsession_queue_poll";
    guarded(NAME, 0, || {
        borrowed(queue, NAME).map_or(0, |queue| queue.poll())
    })
}

/// A descriptor that is readable while nsurlsession_queue_poll would run something: for poll(),
/// epoll or any main loop. It belongs to the queue: watch it, but neither read nor close it. -1 for
/// NULL, and for a queue that the caller does not run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_fd(queue: *mut nsurlsession_queue_t) -> c_int {
    const NAME: &str = "nsurlsession_queue_fd";
    guarded(NAME, -1, || {
        borrowed(queue, NAME)
            .and_then(|queue| queue.fd())
            .unwrap_or(-1)
    })
}

/// Makes nsurlsession_queue_run return once the operation that it is running is done. Any thread
/// may call this, also inside a callback. When the queue is not being run, its next run returns at
/// once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_stop(queue: *mut nsurlsession_queue_t) {
    const NAME: &str = "nsurlsession_queue_stop";
    guarded(NAME, (), || {
        if let Some(queue) = borrowed(queue, NAME) {
            queue.stop();
        }
    });
}

/// -[NSOperationQueue isSuspended]. Whether the queue starts nothing for now. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_suspended(queue: *const nsurlsession_queue_t) -> bool {
    const NAME: &str = "nsurlsession_queue_suspended";
    guarded(NAME, false, || {
        borrowed(queue, NAME).is_some_and(|queue| queue.is_suspended())
    })
}

/// -[NSOperationQueue setSuspended:]. While a queue is suspended nothing new starts on it; what is
/// running finishes. Callbacks pile up and servers are held back.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_set_suspended(
    queue: *mut nsurlsession_queue_t,
    suspended: bool,
) {
    const NAME: &str = "nsurlsession_queue_set_suspended";
    guarded(NAME, (), || {
        if let Some(queue) = borrowed(queue, NAME) {
            queue.set_suspended(suspended);
        }
    });
}

/// -[NSOperationQueue name]. The queue's label. The caller releases the string. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_name(
    queue: *const nsurlsession_queue_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_queue_name";
    guarded(NAME, std::ptr::null_mut(), || {
        owned_text(borrowed(queue, NAME).map(|queue| queue.name()))
    })
}

/// -[NSOperationQueue setName:]. Sets the label, which is copied. NULL: nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_set_name(
    queue: *mut nsurlsession_queue_t,
    name: *const c_char,
) {
    const NAME: &str = "nsurlsession_queue_set_name";
    guarded(NAME, (), || {
        if let (Some(queue), Some(name)) = (borrowed(queue, NAME), text(name, NAME)) {
            queue.set_name(&name);
        }
    });
}

/// -[NSOperationQueue addOperationWithBlock:]. Appends `block(context)` to the queue, among the
/// callbacks of sessions. `release`, if it is not NULL, gets the context once, after the block was
/// run or cancelled, or when the call fails. NULL for the queue or the block: nothing runs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_add_operation_with_block(
    queue: *mut nsurlsession_queue_t,
    block: nsurlsession_operation_block_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_queue_add_operation_with_block";
    guarded(NAME, (), || {
        // Made first: whatever happens, its context is released.
        let context = OwnedContext::new(context, release);
        if let (Some(queue), true) = (borrowed(queue, NAME), block.is_some()) {
            queue.add_block(Box::new(CBlock { block, context }));
        }
    });
}

/// -[NSOperationQueue cancelAllOperations]. Takes away the blocks that were added and have not
/// started; their contexts are released. Callbacks of sessions stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_cancel_all_operations(
    queue: *mut nsurlsession_queue_t,
) {
    const NAME: &str = "nsurlsession_queue_cancel_all_operations";
    guarded(NAME, (), || {
        if let Some(queue) = borrowed(queue, NAME) {
            queue.cancel_all_operations();
        }
    });
}

/// -[NSOperationQueue waitUntilAllOperationsAreFinished]. Waits until nothing is left on the queue.
/// A queue that the caller runs is run by this call, unless another thread is running it. Called
/// inside an operation of the same queue it returns at once, and that is logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_queue_wait_until_all_operations_are_finished(
    queue: *mut nsurlsession_queue_t,
) {
    const NAME: &str = "nsurlsession_queue_wait_until_all_operations_are_finished";
    guarded(NAME, (), || {
        if let Some(queue) = borrowed(queue, NAME)
            && !queue.wait_until_all_operations_are_finished()
        {
            misuse(NAME, "called on the queue itself: it would wait for ever");
        }
    });
}

/// Runs a work item on this thread: some callbacks of its queue. A work item runs once; later
/// calls, and one after nsurlsession_work_discard, do nothing and are logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_work_run(work: *mut nsurlsession_work_t) {
    const NAME: &str = "nsurlsession_work_run";
    guarded(NAME, (), || {
        if let Some(work) = borrowed(work, NAME)
            && !work.run()
        {
            misuse(NAME, "was run or discarded already");
        }
    });
}

/// Says that this work item and all later ones will not be run: the executor is shutting down. A
/// thread of the library's runs the queue from now on, so that every completion handler is called.
/// Releasing the last reference to an item that was not run does the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_work_discard(work: *mut nsurlsession_work_t) {
    const NAME: &str = "nsurlsession_work_discard";
    guarded(NAME, (), || {
        if let Some(work) = borrowed(work, NAME)
            && !work.discard()
        {
            misuse(NAME, "was run or discarded already");
        }
    });
}
