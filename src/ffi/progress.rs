//! NSProgress.

use std::any::Any;
use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::Instant;

use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out, lent};
use super::string::{owned_text, text};
use super::types::{
    OwnedContext, nsurlsession_progress_change_handler_t, nsurlsession_progress_handler_t,
    nsurlsession_progress_t, nsurlsession_queue_t, nsurlsession_release_block_t,
    nsurlsession_string_t,
};
use crate::foundation::progress::{ChangeHandler, Handler, Progress, Signal};

/// A block of the caller's for cancelling, pausing or resuming.
struct CHandler {
    handler: unsafe extern "C-unwind" fn(context: *mut c_void),
    context: OwnedContext,
}

impl Handler for CHandler {
    fn call(&self) {
        // SAFETY: the caller's function with the caller's context.
        callback(|| unsafe { (self.handler)(self.context.pointer()) });
    }
}

/// A block of the caller's that hears of changes.
struct CChangeHandler {
    handler: unsafe extern "C-unwind" fn(context: *mut c_void, *mut nsurlsession_progress_t),
    context: OwnedContext,
}

impl ChangeHandler for CChangeHandler {
    fn changed(&self, progress: &Arc<Progress>) {
        // SAFETY: the caller's function with the caller's context and a handle that lives on.
        callback(|| unsafe { (self.handler)(self.context.pointer(), lent(progress)) });
    }
}

/// What a function reads from a progress; `nil` for NULL.
fn read<R>(
    progress: *const nsurlsession_progress_t,
    name: &str,
    nil: R,
    body: impl FnOnce(&Arc<Progress>) -> R,
) -> R
where
    R: Copy,
{
    guarded(name, nil, || {
        borrowed(progress, name).map_or(nil, |progress| body(&progress))
    })
}

fn write(progress: *const nsurlsession_progress_t, name: &str, body: impl FnOnce(&Arc<Progress>)) {
    read(progress, name, (), body);
}

/// The same for what a task sets on its own progress.
fn write_own(
    progress: *const nsurlsession_progress_t,
    name: &str,
    body: impl FnOnce(&Arc<Progress>),
) {
    write(progress, name, |progress| {
        if progress.is_mirror() {
            return misuse(name, "the progress belongs to a task, which sets this");
        }
        body(progress);
    });
}

/// The same for a string, where NULL is nil. What is not UTF-8 changes nothing.
fn write_own_text(
    progress: *const nsurlsession_progress_t,
    name: &str,
    pointer: *const c_char,
    body: impl FnOnce(&Arc<Progress>, Option<String>),
) {
    write_own(progress, name, |progress| {
        let text = text(pointer, name);
        if pointer.is_null() || text.is_some() {
            body(progress, text);
        }
    });
}

fn set_handler(
    progress: *const nsurlsession_progress_t,
    name: &str,
    signal: Signal,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    guarded(name, (), || {
        // Made first: whatever happens, its context is released.
        let context = OwnedContext::new(context, release);
        if let Some(progress) = borrowed(progress, name) {
            let block =
                handler.map(|handler| Arc::new(CHandler { handler, context }) as Arc<dyn Handler>);
            progress.set_handler(signal, block);
        }
    });
}

fn handler(
    progress: *const nsurlsession_progress_t,
    name: &str,
    signal: Signal,
) -> nsurlsession_progress_handler_t {
    read(progress, name, None, |progress| {
        let handler = progress.handler(signal)?;
        let handler = (&*handler as &dyn Any).downcast_ref::<CHandler>()?;
        Some(handler.handler)
    })
}

/// +[NSProgress discreteProgressWithTotalUnitCount:]. A progress that stands alone: it does not
/// become a child of another one until it is added. A negative count: it is not known yet. The
/// caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_discrete_with_total_unit_count(
    total_unit_count: i64,
) -> *mut nsurlsession_progress_t {
    const NAME: &str = "nsurlsession_progress_discrete_with_total_unit_count";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out(Progress::discrete(total_unit_count))
    })
}

/// -[NSProgress addChild:withPendingUnitCount:]. Makes `child`, such as the progress of a task,
/// stand for so many units of `progress`: its fraction counts for them, and when it has finished
/// they are added to the completed units and the child is let go. Until then the parent retains the
/// child. A parent that is cancelled or paused cancels or pauses it. A child has one parent only
/// and no circle is made; a task's progress has no children; trees are at most 64 levels deep; a
/// count is not negative: what is refused is logged and nothing changes. NULL for either: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_add_child_with_pending_unit_count(
    progress: *mut nsurlsession_progress_t,
    child: *mut nsurlsession_progress_t,
    pending_unit_count: i64,
) {
    const NAME: &str = "nsurlsession_progress_add_child_with_pending_unit_count";
    guarded(NAME, (), || {
        if let (Some(progress), Some(child)) = (borrowed(progress, NAME), borrowed(child, NAME))
            && let Err(why) = progress.add_child(&child, pending_unit_count)
        {
            misuse(NAME, why);
        }
    });
}

/// -[NSProgress totalUnitCount]. How many units there are in all: bytes for a task. Negative: not
/// known. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_total_unit_count(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_total_unit_count";
    read(progress, NAME, 0, |progress| progress.total())
}

/// -[NSProgress setTotalUnitCount:]. Says how many units there are in all; negative: not known.
/// What is set on a task's progress lasts until bytes move.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_total_unit_count(
    progress: *mut nsurlsession_progress_t,
    total_unit_count: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_total_unit_count";
    write(progress, NAME, |progress| {
        progress.set_total(total_unit_count);
    });
}

/// -[NSProgress completedUnitCount]. How many units are done, those of finished children included:
/// bytes for a task. NULL: 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_completed_unit_count(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_completed_unit_count";
    read(progress, NAME, 0, |progress| progress.completed())
}

/// -[NSProgress setCompletedUnitCount:]. Says how many units are done. What is set on a task's
/// progress lasts until bytes move.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_completed_unit_count(
    progress: *mut nsurlsession_progress_t,
    completed_unit_count: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_completed_unit_count";
    write(progress, NAME, |progress| {
        progress.set_completed(completed_unit_count);
    });
}

/// -[NSProgress fractionCompleted]. How much is done, children included, from 0.0 to 1.0. 0.0 while
/// it is indeterminate, 1.0 when both counts are zero: there is nothing to do. A task that
/// succeeded ends at 1.0. NULL: 0.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_fraction_completed(
    progress: *const nsurlsession_progress_t,
) -> f64 {
    const NAME: &str = "nsurlsession_progress_fraction_completed";
    read(progress, NAME, 0.0, |progress| progress.fraction())
}

/// -[NSProgress isIndeterminate]. Whether there is no telling how much is left: a count is
/// negative, or both are zero although there are children. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_indeterminate(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_indeterminate";
    read(progress, NAME, false, |progress| {
        progress.is_indeterminate()
    })
}

/// -[NSProgress isFinished]. Whether all is done: some units are, and no fewer than there are in
/// all. A task's progress is finished when the task has succeeded. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_finished(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_finished";
    read(progress, NAME, false, |progress| progress.is_finished())
}

/// -[NSProgress isCancellable]. Whether a user interface should offer to cancel; true unless it was
/// set. nsurlsession_progress_cancel works anyway. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancellable(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_cancellable";
    read(progress, NAME, false, |progress| progress.is_cancellable())
}

/// -[NSProgress setCancellable:]. Says whether a user interface should offer to cancel. A task sets
/// that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_cancellable(
    progress: *mut nsurlsession_progress_t,
    cancellable: bool,
) {
    const NAME: &str = "nsurlsession_progress_set_cancellable";
    write_own(progress, NAME, |progress| {
        progress.set_cancellable(cancellable);
    });
}

/// -[NSProgress isPausable]. Whether a user interface should offer to pause; false unless it was
/// set, true for tasks. nsurlsession_progress_pause works anyway. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pausable(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_pausable";
    read(progress, NAME, false, |progress| progress.is_pausable())
}

/// -[NSProgress setPausable:]. Says whether a user interface should offer to pause. A task sets
/// that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_pausable(
    progress: *mut nsurlsession_progress_t,
    pausable: bool,
) {
    const NAME: &str = "nsurlsession_progress_set_pausable";
    write_own(progress, NAME, |progress| progress.set_pausable(pausable));
}

/// -[NSProgress isCancelled]. Whether it was cancelled, itself or by a parent. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancelled(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_cancelled";
    read(progress, NAME, false, |progress| progress.is_cancelled())
}

/// -[NSProgress isPaused]. Whether it is paused, by itself or by a parent. NULL: false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_paused(
    progress: *const nsurlsession_progress_t,
) -> bool {
    const NAME: &str = "nsurlsession_progress_paused";
    read(progress, NAME, false, |progress| progress.is_paused())
}

/// -[NSProgress cancel]. Marks the progress as cancelled for good, cancels the task that it belongs
/// to, and calls its cancellation handler on this thread; then the same for its children. What is
/// cancelled already hears nothing. NULL: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancel(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_cancel";
    write(progress, NAME, |progress| progress.send(Signal::Cancel));
}

/// -[NSProgress pause]. Marks the progress as paused, suspends the task that it belongs to, and
/// calls its pausing handler on this thread; then the same for its children. What is paused already
/// hears nothing. NULL: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pause(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_pause";
    write(progress, NAME, |progress| progress.send(Signal::Pause));
}

/// -[NSProgress resume]. Marks the progress as not paused any more, resumes the task that it
/// belongs to, also one that was never resumed, and calls its resuming handler on this thread; then
/// the same for its children. Handlers of what is not paused are not called. NULL: nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_resume(progress: *mut nsurlsession_progress_t) {
    const NAME: &str = "nsurlsession_progress_resume";
    write(progress, NAME, |progress| progress.send(Signal::Resume));
}

/// -[NSProgress cancellationHandler]. The function that was set; its context is not handed out.
/// None, or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_cancellation_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_cancellation_handler";
    handler(progress, NAME, Signal::Cancel)
}

/// -[NSProgress setCancellationHandler:]. Has `handler(context)` called when the progress is
/// cancelled, on the thread that cancels it; at once if it is cancelled already. A task's progress
/// cancels the task as well. NULL: none. `release`, if it is not NULL, gets the context once: when
/// another handler is set, when the progress is freed, or when nothing was set. A handler that is
/// running is not released before it returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_cancellation_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_cancellation_handler";
    set_handler(progress, NAME, Signal::Cancel, handler, context, release);
}

/// -[NSProgress pausingHandler]. The function that was set; its context is not handed out. None, or
/// NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_pausing_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_pausing_handler";
    handler(progress, NAME, Signal::Pause)
}

/// -[NSProgress setPausingHandler:]. Has `handler(context)` called when the progress is paused, on
/// the thread that pauses it; at once if it is paused already. Otherwise as
/// nsurlsession_progress_set_cancellation_handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_pausing_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_pausing_handler";
    set_handler(progress, NAME, Signal::Pause, handler, context, release);
}

/// -[NSProgress resumingHandler]. The function that was set; its context is not handed out. None,
/// or NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_resuming_handler(
    progress: *const nsurlsession_progress_t,
) -> nsurlsession_progress_handler_t {
    const NAME: &str = "nsurlsession_progress_resuming_handler";
    handler(progress, NAME, Signal::Resume)
}

/// -[NSProgress setResumingHandler:]. Has `handler(context)` called when the progress was paused
/// and is resumed, on the thread that resumes it. Otherwise as
/// nsurlsession_progress_set_cancellation_handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_resuming_handler(
    progress: *mut nsurlsession_progress_t,
    handler: nsurlsession_progress_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_resuming_handler";
    set_handler(progress, NAME, Signal::Resume, handler, context, release);
}

/// Has `handler(context, progress)` called on `queue` (NULL: one of the library's own) after
/// anything of the progress has changed, its fraction by a child included: in place of key-value
/// observing. Changes that come while a call is waiting to run are told by that call, so a slow
/// handler gets fewer calls and always one after the last change. The throughput and the time
/// remaining of a task also change as time passes: that is not told. There is one handler; NULL:
/// none. `release`, if it is not NULL, gets the context once: when another handler is set, when the
/// progress is freed, or when nothing was set. A handler that is running is not released before it
/// returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_change_handler(
    progress: *mut nsurlsession_progress_t,
    queue: *mut nsurlsession_queue_t,
    handler: nsurlsession_progress_change_handler_t,
    context: *mut c_void,
    release: nsurlsession_release_block_t,
) {
    const NAME: &str = "nsurlsession_progress_set_change_handler";
    guarded(NAME, (), || {
        // Made first: whatever happens, its context is released.
        let context = OwnedContext::new(context, release);
        let Some(progress) = borrowed(progress, NAME) else {
            return;
        };
        let on = borrowed(queue, NAME);
        if on.is_none() && !queue.is_null() {
            return;
        }
        let block = handler
            .map(|handler| Arc::new(CChangeHandler { handler, context }) as Arc<dyn ChangeHandler>);
        progress.set_change_handler(on, block);
    });
}

/// -[NSProgress kind]. What sort of work it is: NSURLSESSION_PROGRESS_KIND_FILE for tasks, another
/// string, or NULL. The caller releases the string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_kind(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_progress_kind";
    read(progress, NAME, std::ptr::null_mut(), |progress| {
        owned_text(progress.kind())
    })
}

/// -[NSProgress setKind:]. Says what sort of work it is; the string is copied, NULL is none. Units
/// of the kind NSURLSESSION_PROGRESS_KIND_FILE are bytes. A task sets that of its own progress:
/// refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_kind(
    progress: *mut nsurlsession_progress_t,
    kind: *const c_char,
) {
    const NAME: &str = "nsurlsession_progress_set_kind";
    write_own_text(progress, NAME, kind, Progress::set_kind);
}

/// -[NSProgress fileOperationKind]. What is done with a file: one of
/// NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_..., another string, or NULL. The caller releases the
/// string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_file_operation_kind(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_progress_file_operation_kind";
    read(progress, NAME, std::ptr::null_mut(), |progress| {
        owned_text(progress.file_operation_kind())
    })
}

/// -[NSProgress setFileOperationKind:]. Says what is done with a file; the string is copied, NULL
/// is none. A task sets that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_file_operation_kind(
    progress: *mut nsurlsession_progress_t,
    kind: *const c_char,
) {
    const NAME: &str = "nsurlsession_progress_set_file_operation_kind";
    write_own_text(progress, NAME, kind, Progress::set_file_operation_kind);
}

/// -[NSProgress localizedDescription]. What goes on, for a person, in English: what was set, or
/// else such as "30% completed", "Downloading…", "Loading…". The caller releases the string. NULL:
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_localized_description(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_progress_localized_description";
    read(progress, NAME, std::ptr::null_mut(), |progress| {
        owned_text(Some(progress.localized_description()))
    })
}

/// -[NSProgress setLocalizedDescription:]. Sets the description, which is copied; NULL: the library
/// makes it. A task sets that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_localized_description(
    progress: *mut nsurlsession_progress_t,
    description: *const c_char,
) {
    const NAME: &str = "nsurlsession_progress_set_localized_description";
    write_own_text(
        progress,
        NAME,
        description,
        Progress::set_localized_description,
    );
}

/// -[NSProgress localizedAdditionalDescription]. Details for a person, in English: what was set, or
/// else such as "3 of 10" or, for files, "1.61 GB of 3.22 GB (2 KB/sec) — 2 minutes remaining", as
/// far as it is known; perhaps empty. The caller releases the string. NULL: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_localized_additional_description(
    progress: *const nsurlsession_progress_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_progress_localized_additional_description";
    read(progress, NAME, std::ptr::null_mut(), |progress| {
        owned_text(Some(progress.localized_additional_description()))
    })
}

/// -[NSProgress setLocalizedAdditionalDescription:]. Sets the details, which are copied; NULL: the
/// library makes them. A task sets those of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_localized_additional_description(
    progress: *mut nsurlsession_progress_t,
    description: *const c_char,
) {
    const NAME: &str = "nsurlsession_progress_set_localized_additional_description";
    write_own_text(
        progress,
        NAME,
        description,
        Progress::set_localized_additional_description,
    );
}

/// -[NSProgress estimatedTimeRemaining]. Seconds until it will be done: what was set; for a task
/// what is left over by the throughput. Not known, or NULL: not a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_estimated_time_remaining(
    progress: *const nsurlsession_progress_t,
) -> f64 {
    const NAME: &str = "nsurlsession_progress_estimated_time_remaining";
    read(progress, NAME, f64::NAN, |progress| {
        progress.time_remaining(Instant::now()).unwrap_or(f64::NAN)
    })
}

/// -[NSProgress setEstimatedTimeRemaining:]. Says how many seconds are left; negative, or not a
/// number: not known. A task sets that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_estimated_time_remaining(
    progress: *mut nsurlsession_progress_t,
    seconds: f64,
) {
    const NAME: &str = "nsurlsession_progress_set_estimated_time_remaining";
    write_own(progress, NAME, |progress| {
        progress.set_time_remaining(seconds);
    });
}

/// -[NSProgress throughput]. Bytes a second: what was set; for a task the rate of the last two
/// seconds. Not known, such as before anything has moved and while it is paused, or NULL: -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_throughput(
    progress: *const nsurlsession_progress_t,
) -> i64 {
    const NAME: &str = "nsurlsession_progress_throughput";
    read(progress, NAME, -1, |progress| {
        progress.throughput(Instant::now()).unwrap_or(-1)
    })
}

/// -[NSProgress setThroughput:]. Says how many bytes a second there are; negative: not known. A
/// task sets that of its own progress: refused there, and logged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_progress_set_throughput(
    progress: *mut nsurlsession_progress_t,
    bytes_per_second: i64,
) {
    const NAME: &str = "nsurlsession_progress_set_throughput";
    write_own(progress, NAME, |progress| {
        progress.set_throughput(bytes_per_second);
    });
}
