//! NSProgress.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out, lent};
use super::string::{owned_text, text};
use super::types::{
    OwnedContext, nsurlsession_progress_change_handler_t, nsurlsession_progress_handler_t,
    nsurlsession_progress_t, nsurlsession_queue_t, nsurlsession_release_block_t,
    nsurlsession_string_t,
};
use crate::foundation::progress::{Handler, Label, Observer, Occasion, Progress, Refusal};
use crate::foundation::queue::Queue;

fn read<R>(
    progress: *const nsurlsession_progress_t,
    name: &str,
    absent: R,
    read: impl FnOnce(&Arc<Progress>) -> R,
) -> R {
    match borrowed(progress, name) {
        Some(progress) => guarded(name, absent, || read(&progress)),
        None => absent,
    }
}

/// A handler of the caller's.
struct CHandler {
    function: unsafe extern "C-unwind" fn(context: *mut c_void),
    context: OwnedContext,
}

impl Handler for CHandler {
    fn call(&self) {
        // SAFETY: the caller's function with the caller's context.
        callback(|| unsafe { (self.function)(self.context.pointer()) });
    }

    fn function(&self) -> usize {
        self.function as usize
    }
}

/// An observer of the caller's.
struct CObserver {
    function:
        unsafe extern "C-unwind" fn(context: *mut c_void, progress: *mut nsurlsession_progress_t),
    context: OwnedContext,
}

impl Observer for CObserver {
    fn changed(&self, progress: &Arc<Progress>) {
        // SAFETY: the caller's function with the caller's context and a handle that lives on.
        callback(|| unsafe { (self.function)(self.context.pointer(), lent(progress)) });
    }
}

fn set_handler(
    progress: *mut nsurlsession_progress_t,
    name: &str,
    occasion: Occasion,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    // Taken over first: whatever happens, it is released.
    let context = OwnedContext::new(context, release);
    read(progress, name, (), |progress| {
        let handler = handler.map(|function| {
            let handler = CHandler { function, context };
            Arc::new(handler) as Arc<dyn Handler>
        });
        progress.set_handler(occasion, handler);
    });
}

fn handler(
    progress: *const nsurlsession_progress_t,
    name: &str,
    occasion: Occasion,
) -> nsurlsession_progress_handler_t {
    let function = read(progress, name, None, |progress| progress.handler(occasion))?;
    // SAFETY: the number of a function that was given as one of this type.
    Some(unsafe {
        std::mem::transmute::<usize, unsafe extern "C-unwind" fn(context: *mut c_void)>(function)
    })
}

fn label(
    progress: *const nsurlsession_progress_t,
    name: &str,
    label: Label,
) -> *mut nsurlsession_string_t {
    owned_text(read(progress, name, None, |progress| progress.label(label)))
}

fn set_label(
    progress: *mut nsurlsession_progress_t,
    name: &str,
    label: Label,
    value: *const c_char,
) {
    read(progress, name, (), |progress| {
        progress.set_label(label, text(value, name));
    });
}

/// +[NSProgress discreteProgressWithTotalUnitCount:]. A progress without a parent. The caller
/// releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_discrete_with_total_unit_count(
    total_unit_count: i64,
) -> *mut nsurlsession_progress_t {
    const NAME: &str = "nsurlsession_progress_discrete_with_total_unit_count";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out(Progress::discrete(total_unit_count))
    })
}

/// -[NSProgress totalUnitCount]. How many units there are in all: bytes for a task's progress.
/// Negative: that is not known. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_total_unit_count(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_total_unit_count";
    read(progress, NAME, 0, |progress| progress.total_unit_count())
}

/// -[NSProgress setTotalUnitCount:]. Sets how many units there are in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_total_unit_count(
    progress: *mut nsurlsession_progress_t,
    count: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_total_unit_count";
    read(progress, NAME, (), |progress| {
        progress.set_total_unit_count(count)
    });
}

/// -[NSProgress completedUnitCount]. How many units are done, those of children that have
/// finished included. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_completed_unit_count(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_completed_unit_count";
    read(progress, NAME, 0, |progress| {
        progress.completed_unit_count()
    })
}

/// -[NSProgress setCompletedUnitCount:]. Sets how many units are done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_completed_unit_count(
    progress: *mut nsurlsession_progress_t,
    count: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_completed_unit_count";
    read(progress, NAME, (), |progress| {
        progress.set_completed_unit_count(count)
    });
}

/// -[NSProgress fractionCompleted]. How much is done, from 0 to 1, with what children have done
/// so far. 0 while it is indeterminate. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_fraction_completed(
    progress: *const nsurlsession_progress_t,
) -> f64 {
    const NAME: &str = "nsurlsession_progress_fraction_completed";
    read(progress, NAME, 0.0, |progress| {
        progress.fraction_completed()
    })
}

/// -[NSProgress isIndeterminate]. Whether it is not known how much there is to do: a count is
/// negative, or both are 0. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_indeterminate(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_indeterminate";
    read(progress, NAME, false, |progress| {
        progress.is_indeterminate()
    })
}

/// -[NSProgress isFinished]. Whether all is done; a task's progress when the task succeeded.
/// NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_finished(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_finished";
    read(progress, NAME, false, |progress| progress.is_finished())
}

/// -[NSProgress isCancellable]. Whether it makes sense to offer a person that this be
/// cancelled; a hint, which changes nothing else. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancellable(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_cancellable";
    read(progress, NAME, false, |progress| progress.is_cancellable())
}

/// -[NSProgress setCancellable:]. Sets that hint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_cancellable(
    progress: *mut nsurlsession_progress_t,
    cancellable: bool,
) {
    const NAME: &str = "nsurlsession_progress_set_cancellable";
    read(progress, NAME, (), |progress| {
        progress.set_cancellable(cancellable)
    });
}

/// -[NSProgress isPausable]. Whether it makes sense to offer a person that this be paused; a
/// hint, which changes nothing else. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pausable(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_pausable";
    read(progress, NAME, false, |progress| progress.is_pausable())
}

/// -[NSProgress setPausable:]. Sets that hint.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_pausable(
    progress: *mut nsurlsession_progress_t,
    pausable: bool,
) {
    const NAME: &str = "nsurlsession_progress_set_pausable";
    read(progress, NAME, (), |progress| {
        progress.set_pausable(pausable)
    });
}

/// -[NSProgress isCancelled]. Whether it was cancelled. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancelled(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_cancelled";
    read(progress, NAME, false, |progress| progress.is_cancelled())
}

/// -[NSProgress isPaused]. Whether it is paused. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_paused(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_paused";
    read(progress, NAME, false, |progress| progress.is_paused())
}

/// -[NSProgress cancel]. Cancels this and its children: calls the cancellation handlers on this
/// thread. A task's progress cancels the task. Does nothing the second time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancel(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_cancel";
    read(progress, NAME, (), |progress| progress.cancel());
}

/// -[NSProgress pause]. Pauses this and its children: calls the pausing handlers on this
/// thread. A task's progress suspends the task. Does nothing when it is paused or cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pause(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_pause";
    read(progress, NAME, (), |progress| progress.pause());
}

/// -[NSProgress resume]. Goes on after a pause: calls the resuming handlers on this thread. A
/// task's progress resumes the task. Does nothing when it is not paused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_resume(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_resume";
    read(progress, NAME, (), |progress| progress.resume());
}

/// -[NSProgress cancellationHandler]. The function that was set, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancellation_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_cancellation_handler";
    handler(progress, NAME, Occasion::Cancelling)
}

/// -[NSProgress setCancellationHandler:]. Sets what is called with `context` when this is
/// cancelled, on the thread that does it; at once when that was done already. `release` is
/// called exactly once with the context: when another handler is set, when the progress is
/// freed, or when this call fails. NULL for the handler takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_cancellation_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_cancellation_handler";
    set_handler(
        progress,
        NAME,
        Occasion::Cancelling,
        handler,
        context,
        release,
    );
}

/// -[NSProgress pausingHandler]. The function that was set, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pausing_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_pausing_handler";
    handler(progress, NAME, Occasion::Pausing)
}

/// -[NSProgress setPausingHandler:]. Sets what is called with `context` when this is paused, on
/// the thread that does it; at once when that was done already. `release` is called exactly
/// once with the context: when another handler is set, when the progress is freed, or when this
/// call fails. NULL for the handler takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_pausing_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_pausing_handler";
    set_handler(progress, NAME, Occasion::Pausing, handler, context, release);
}

/// -[NSProgress resumingHandler]. The function that was set, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_resuming_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_resuming_handler";
    handler(progress, NAME, Occasion::Resuming)
}

/// -[NSProgress setResumingHandler:]. Sets what is called with `context` when this is resumed,
/// on the thread that does it. `release` is called exactly once with the context: when another
/// handler is set, when the progress is freed, or when this call fails. NULL for the handler
/// takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_resuming_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_resuming_handler";
    set_handler(
        progress,
        NAME,
        Occasion::Resuming,
        handler,
        context,
        release,
    );
}

/// -[NSProgress kind]. What kind of thing is under way: NSURLSESSION_PROGRESS_KIND_FILE for a
/// task's progress, else what was set, or NULL. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_kind(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    label(progress, "nsurlsession_progress_kind", Label::Kind)
}

/// -[NSProgress setKind:]. Sets that text, which is copied; NULL takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_kind(
    progress: *mut nsurlsession_progress_t,
    text: *const c_char,
) {
    set_label(
        progress,
        "nsurlsession_progress_set_kind",
        Label::Kind,
        text,
    );
}

/// -[NSProgress fileOperationKind]. What happens to a file: for a task's progress one of
/// NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_*, else what was set, or NULL. The caller releases
/// it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_file_operation_kind(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    label(
        progress,
        "nsurlsession_progress_file_operation_kind",
        Label::FileOperation,
    )
}

/// -[NSProgress setFileOperationKind:]. Sets that text, which is copied; NULL takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_file_operation_kind(
    progress: *mut nsurlsession_progress_t,
    text: *const c_char,
) {
    set_label(
        progress,
        "nsurlsession_progress_set_file_operation_kind",
        Label::FileOperation,
        text,
    );
}

/// -[NSProgress localizedDescription]. What is under way, for a person: what was set, or a text
/// that is made from the kind and the fraction. The caller releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_localized_description(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    label(
        progress,
        "nsurlsession_progress_localized_description",
        Label::Description,
    )
}

/// -[NSProgress setLocalizedDescription:]. Sets that text, which is copied; NULL takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_localized_description(
    progress: *mut nsurlsession_progress_t,
    text: *const c_char,
) {
    set_label(
        progress,
        "nsurlsession_progress_set_localized_description",
        Label::Description,
        text,
    );
}

/// -[NSProgress localizedAdditionalDescription]. How far it is, for a person: what was set, or
/// a text such as "1.2 MB of 5.0 MB (800 KB/sec) — About 5 seconds remaining". The caller
/// releases it. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_localized_additional_description(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    label(
        progress,
        "nsurlsession_progress_localized_additional_description",
        Label::AdditionalDescription,
    )
}

/// -[NSProgress setLocalizedAdditionalDescription:]. Sets that text, which is copied; NULL
/// takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_localized_additional_description(
    progress: *mut nsurlsession_progress_t,
    text: *const c_char,
) {
    set_label(
        progress,
        "nsurlsession_progress_set_localized_additional_description",
        Label::AdditionalDescription,
        text,
    );
}

/// -[NSProgress estimatedTimeRemaining]. Seconds until all is done: what was set, or what
/// follows from the throughput. NaN when that is not known, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_estimated_time_remaining(
    progress: *const nsurlsession_progress_t,
) -> f64 {
    const NAME: &str = "nsurlsession_progress_estimated_time_remaining";
    read(progress, NAME, f64::NAN, |progress| {
        progress.estimated_time_remaining().unwrap_or(f64::NAN)
    })
}

/// -[NSProgress setEstimatedTimeRemaining:]. Sets the seconds until all is done; NaN takes them
/// away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_estimated_time_remaining(
    progress: *mut nsurlsession_progress_t,
    seconds: f64,
) {
    const NAME: &str = "nsurlsession_progress_set_estimated_time_remaining";
    read(progress, NAME, (), |progress| {
        progress.set_estimated_time_remaining((!seconds.is_nan()).then_some(seconds))
    });
}

/// -[NSProgress throughput]. Bytes, or units, a second: what was set, or what was measured over
/// the last two seconds. -1 when that is not known, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_throughput(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_throughput";
    read(progress, NAME, -1, |progress| {
        progress.throughput().unwrap_or(-1)
    })
}

/// -[NSProgress setThroughput:]. Sets the bytes, or units, a second; what is negative takes
/// them away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_throughput(
    progress: *mut nsurlsession_progress_t,
    units: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_throughput";
    read(progress, NAME, (), |progress| {
        progress.set_throughput((units >= 0).then_some(units))
    });
}

/// -[NSProgress addChild:withPendingUnitCount:]. Lets a progress count for so many of this
/// one's units: its fraction of them while it is under way, and all when it has finished.
/// Retains the child. A child has one parent, for good; what has one already, and what contains
/// this progress, is refused, which is logged. Cancelling, pausing and resuming the parent does
/// the same to the child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_add_child_with_pending_unit_count(
    progress: *mut nsurlsession_progress_t,
    child: *mut nsurlsession_progress_t,
    pending_unit_count: i64,
) {
    const NAME: &str = "nsurlsession_progress_add_child_with_pending_unit_count";
    read(progress, NAME, (), |progress| {
        let Some(child) = borrowed(child, NAME) else {
            return;
        };
        match progress.add_child(&child, pending_unit_count) {
            Ok(()) => {}
            Err(Refusal::HasParent) => misuse(NAME, "the child has a parent already"),
            Err(Refusal::WouldContainItself) => misuse(NAME, "the child contains this progress"),
        }
    });
}

/// Watches a progress, as key-value observation does: `handler` is called with `context` on
/// `queue` after something has changed, a child's fraction included; changes that come before
/// that are told by one call. NULL for the queue: on a thread of the library's. Replaces the
/// handler before; `release` is called exactly once with its context, when it is replaced, when
/// the progress is freed, or when this call fails. NULL for the handler takes it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_change_handler(
    progress: *mut nsurlsession_progress_t,
    queue: *mut nsurlsession_queue_t,
    handler: nsurlsession_progress_change_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_change_handler";
    let context = OwnedContext::new(context, release);
    read(progress, NAME, (), |progress| {
        let queue = if queue.is_null() {
            Some(Queue::library("progress"))
        } else {
            borrowed(queue, NAME)
        };
        let observer = handler.map(|function| {
            let observer = CObserver { function, context };
            Arc::new(observer) as Arc<dyn Observer>
        });
        progress.watch(observer.zip(queue));
    });
}
