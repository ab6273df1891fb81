//! NSURLSession.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::delegate::{CDelegate, nsurlsession_delegate_t};
use super::guard::{callback, guarded, misuse};
use super::object::{borrowed, handed_out, handed_out_option, lent, lent_option};
use super::request::url;
use super::string::{owned_text, text};
use super::types::{
    Context, nsurlsession_configuration_t, nsurlsession_data_task_completion_handler_t,
    nsurlsession_get_all_tasks_completion_handler_t, nsurlsession_get_tasks_completion_handler_t,
    nsurlsession_queue_t, nsurlsession_request_t, nsurlsession_string_t, nsurlsession_t,
    nsurlsession_task_t,
};
use crate::foundation::array::Array;
use crate::foundation::object::Object;
use crate::loading::request::{RequestUrl, RequestValue};
use crate::session::configuration::Configuration;
use crate::session::{self, Session};
use crate::task::{Origin, TaskHandler, TaskKind, TaskStart};

/// +[NSURLSession sharedSession]. The session that the whole process shares: default configuration,
/// no delegate, callbacks on a thread of the library's. Invalidating it does nothing. The caller
/// releases the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_shared_session() -> *mut nsurlsession_t {
    guarded("nsurlsession_shared_session", std::ptr::null_mut(), || {
        handed_out(session::shared())
    })
}

/// +[NSURLSession new]. Deprecated by Apple: as nsurlsession_session_with_configuration with the
/// default configuration.
#[deprecated(note = "use nsurlsession_session_with_configuration")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_new() -> *mut nsurlsession_t {
    guarded("nsurlsession_new", std::ptr::null_mut(), || {
        handed_out(Session::new(&Configuration::default_session(), None, None))
    })
}

/// +[NSURLSession sessionWithConfiguration:]. A session without delegate, whose callbacks run on a
/// thread of the library's. The configuration is copied; NULL: the default one. The caller releases
/// the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_session_with_configuration(
    configuration: *const nsurlsession_configuration_t,
) -> *mut nsurlsession_t {
    const NAME: &str = "nsurlsession_session_with_configuration";
    guarded(NAME, std::ptr::null_mut(), || {
        let configuration =
            borrowed(configuration, NAME).unwrap_or_else(Configuration::default_session);
        handed_out(Session::new(&configuration, None, None))
    })
}

/// +[NSURLSession sessionWithConfiguration:delegate:delegateQueue:]. A session that copies its
/// configuration (NULL: the default one), copies its delegate (NULL: none) and retains its queue
/// (NULL: one that a thread of the library's runs). All callbacks of the session run on that queue,
/// one after another. The delegate's context is released after did_become_invalid_with_error: that
/// comes after nsurlsession_finish_tasks_and_invalidate or nsurlsession_invalidate_and_cancel, or
/// when the caller has released the session and its tasks are done. The caller releases the
/// session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_session_with_configuration_delegate_delegate_queue(
    configuration: *const nsurlsession_configuration_t,
    delegate: *const nsurlsession_delegate_t,
    queue: *mut nsurlsession_queue_t,
) -> *mut nsurlsession_t {
    const NAME: &str = "nsurlsession_session_with_configuration_delegate_delegate_queue";
    guarded(NAME, std::ptr::null_mut(), || {
        let configuration =
            borrowed(configuration, NAME).unwrap_or_else(Configuration::default_session);
        handed_out(Session::new(
            &configuration,
            CDelegate::from_c(delegate, NAME),
            borrowed(queue, NAME),
        ))
    })
}

/// -[NSURLSession delegateQueue]. The queue on which callbacks run, retained: the caller releases
/// it. Never NULL for a session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_delegate_queue(
    session: *const nsurlsession_t,
) -> *mut nsurlsession_queue_t {
    const NAME: &str = "nsurlsession_delegate_queue";
    guarded(NAME, std::ptr::null_mut(), || {
        handed_out_option(borrowed(session, NAME).map(|session| Arc::clone(session.queue())))
    })
}

/// -[NSURLSession delegate]. The context of the session's delegate. NULL when it has none, and once
/// the session has become invalid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_delegate(session: *const nsurlsession_t) -> *mut c_void {
    const NAME: &str = "nsurlsession_delegate";
    guarded(NAME, std::ptr::null_mut(), || {
        let context = borrowed(session, NAME).and_then(|session| session.delegate_context());
        context.map_or(std::ptr::null_mut(), std::ptr::with_exposed_provenance_mut)
    })
}

/// -[NSURLSession configuration]. A copy of the session's configuration; changing it changes
/// nothing for the session. The caller releases it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_configuration(
    session: *const nsurlsession_t,
) -> *mut nsurlsession_configuration_t {
    const NAME: &str = "nsurlsession_configuration";
    guarded(NAME, std::ptr::null_mut(), || {
        let value = borrowed(session, NAME).map(|session| session.configuration().clone());
        handed_out_option(value.map(Configuration::with_value))
    })
}

/// -[NSURLSession sessionDescription]. The label that was set, or NULL. The caller releases the
/// string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_session_description(
    session: *const nsurlsession_t,
) -> *mut nsurlsession_string_t {
    const NAME: &str = "nsurlsession_session_description";
    guarded(NAME, std::ptr::null_mut(), || {
        owned_text(borrowed(session, NAME).and_then(|session| session.session_description()))
    })
}

/// -[NSURLSession setSessionDescription:]. Sets a label for debugging, which is copied; NULL takes
/// it away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_set_session_description(
    session: *mut nsurlsession_t,
    description: *const c_char,
) {
    const NAME: &str = "nsurlsession_set_session_description";
    guarded(NAME, (), || {
        if let Some(session) = borrowed(session, NAME) {
            session.set_session_description(text(description, NAME));
        }
    });
}

/// -[NSURLSession finishTasksAndInvalidate]. Takes no new tasks from now on and lets those that are
/// there finish; then the delegate gets did_become_invalid_with_error and is released. Returns at
/// once. Suspended tasks keep the session until they are resumed or cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_finish_tasks_and_invalidate(session: *mut nsurlsession_t) {
    const NAME: &str = "nsurlsession_finish_tasks_and_invalidate";
    guarded(NAME, (), || {
        if let Some(session) = borrowed(session, NAME) {
            session.finish_tasks_and_invalidate();
        }
    });
}

/// -[NSURLSession invalidateAndCancel]. As nsurlsession_finish_tasks_and_invalidate, but cancels
/// all tasks: each completes with NSURLSESSION_ERROR_CANCELLED first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_invalidate_and_cancel(session: *mut nsurlsession_t) {
    const NAME: &str = "nsurlsession_invalidate_and_cancel";
    guarded(NAME, (), || {
        if let Some(session) = borrowed(session, NAME) {
            session.invalidate_and_cancel();
        }
    });
}

/// The session's unfinished tasks as an array: all, or those of one kind.
fn tasks(session: &Session, kind: Option<TaskKind>) -> Arc<Array> {
    Array::new(
        session
            .tasks()
            .into_iter()
            .filter(|task| kind.is_none_or(|kind| task.kind() == kind))
            .map(|task| task as Arc<dyn Object>)
            .collect(),
    )
}

/// -[NSURLSession getTasksWithCompletionHandler:]. Calls `handler` on the delegate queue with three
/// arrays of unfinished tasks, suspended ones included: data, upload and download tasks. The arrays
/// are lent for the call. Called exactly once; NULL for the session or the handler: not at all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_get_tasks_with_completion_handler(
    session: *mut nsurlsession_t,
    handler: nsurlsession_get_tasks_completion_handler_t,
    context: *mut c_void,
) {
    const NAME: &str = "nsurlsession_get_tasks_with_completion_handler";
    guarded(NAME, (), || {
        let (Some(session), Some(handler)) = (borrowed(session, NAME), handler) else {
            return;
        };
        let (context, queue) = (Context(context), Arc::clone(session.queue()));
        queue.post_internal(move || {
            let context = context;
            let [data, upload, download] = [TaskKind::Data, TaskKind::Upload, TaskKind::Download]
                .map(|kind| tasks(&session, Some(kind)));
            // SAFETY: the caller's function with the caller's context, called once.
            callback(|| unsafe { handler(context.0, lent(&data), lent(&upload), lent(&download)) });
        });
    });
}

/// -[NSURLSession getAllTasksWithCompletionHandler:]. Calls `handler` on the delegate queue with an
/// array of all unfinished tasks, suspended ones included, in the order in which they were made.
/// The array is lent for the call. Called exactly once; NULL for the session or the handler: not at
/// all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_get_all_tasks_with_completion_handler(
    session: *mut nsurlsession_t,
    handler: nsurlsession_get_all_tasks_completion_handler_t,
    context: *mut c_void,
) {
    const NAME: &str = "nsurlsession_get_all_tasks_with_completion_handler";
    guarded(NAME, (), || {
        let (Some(session), Some(handler)) = (borrowed(session, NAME), handler) else {
            return;
        };
        let (context, queue) = (Context(context), Arc::clone(session.queue()));
        queue.post_internal(move || {
            let context = context;
            let tasks = tasks(&session, None);
            // SAFETY: the caller's function with the caller's context, called once.
            callback(|| unsafe { handler(context.0, lent(&tasks)) });
        });
    });
}

/// A completion handler of the caller's.
pub(super) fn task_handler(
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> Option<TaskHandler> {
    let handler = handler?;
    let context = Context(context);
    Some(TaskHandler::Data(Box::new(move |data, response, error| {
        let context = context;
        let (data, response, error) =
            (lent_option(data), lent_option(response), lent_option(error));
        // SAFETY: the caller's function with the caller's context, called once, and handles that
        // live during the call.
        callback(|| unsafe { handler(context.0, data, response, error) });
    })))
}

/// A task for a request.
pub(super) fn make(
    session: *mut nsurlsession_t,
    name: &str,
    kind: TaskKind,
    request: impl FnOnce() -> Option<Arc<RequestValue>>,
    handler: Option<TaskHandler>,
) -> *mut nsurlsession_task_t {
    guarded(name, std::ptr::null_mut(), || {
        let Some(session) = borrowed(session, name) else {
            return std::ptr::null_mut();
        };
        let request = request().unwrap_or_default();
        let task = session.make_task(TaskStart {
            kind,
            request,
            handler,
            origin: Origin::Nothing,
            upload: None,
        });
        let handle = handed_out(Arc::clone(&task));
        session.announce(&task);
        handle
    })
}

/// The request's value now; a task without a request is one without a URL, which fails.
pub(super) fn value_of(
    request: *const nsurlsession_request_t,
    name: &str,
) -> Option<Arc<RequestValue>> {
    let value = borrowed(request, name).map(|request| request.value());
    if value.is_none() {
        misuse(name, "there is no request: the task will fail");
    }
    value
}

pub(super) fn value_with_url(text: *const c_char) -> Option<Arc<RequestValue>> {
    let url: RequestUrl = url(text)?;
    Some(Arc::new(RequestValue::with_url(url)))
}

/// -[NSURLSession dataTaskWithRequest:]. A suspended data task that reports to the delegate; resume
/// it to start it. The request is copied. On a session that was invalidated the task fails with
/// NSURLSESSION_ERROR_CANCELLED when it is resumed; without a usable URL it fails with
/// NSURLSESSION_ERROR_BAD_URL or NSURLSESSION_ERROR_UNSUPPORTED_URL. The caller releases the task;
/// it goes on without that reference once it was resumed. NULL for the session: NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_task_with_request(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_data_task_with_request";
    make(
        session,
        NAME,
        TaskKind::Data,
        || value_of(request, NAME),
        None,
    )
}

/// -[NSURLSession dataTaskWithURL:]. As nsurlsession_data_task_with_request, with a GET request for
/// a URL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_task_with_url(
    session: *mut nsurlsession_t,
    url: *const c_char,
) -> *mut nsurlsession_task_t {
    make(
        session,
        "nsurlsession_data_task_with_url",
        TaskKind::Data,
        || value_with_url(url),
        None,
    )
}

/// -[NSURLSession dataTaskWithRequest:completionHandler:]. As nsurlsession_data_task_with_request,
/// but the body is collected and `handler` called with it, exactly once, on the delegate queue,
/// also when the task is cancelled. The delegate's methods for response, data and completion are
/// not called for this task; will_perform_http_redirection is. NULL for the handler: as without
/// one. NULL for the session: NULL, and the handler is not called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_task_with_request_completion_handler(
    session: *mut nsurlsession_t,
    request: *const nsurlsession_request_t,
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_data_task_with_request_completion_handler";
    make(
        session,
        NAME,
        TaskKind::Data,
        || value_of(request, NAME),
        task_handler(handler, context),
    )
}

/// -[NSURLSession dataTaskWithURL:completionHandler:]. As
/// nsurlsession_data_task_with_request_completion_handler, with a GET request for a URL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nsurlsession_data_task_with_url_completion_handler(
    session: *mut nsurlsession_t,
    url: *const c_char,
    handler: nsurlsession_data_task_completion_handler_t,
    context: *mut c_void,
) -> *mut nsurlsession_task_t {
    const NAME: &str = "nsurlsession_data_task_with_url_completion_handler";
    make(
        session,
        NAME,
        TaskKind::Data,
        || value_with_url(url),
        task_handler(handler, context),
    )
}
