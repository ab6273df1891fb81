//! Proof that C and Rust agree: assertions in C about every layout and constant.

use std::fmt::Write;
use std::mem::offset_of;

use super::delegate::{
    nsurlsession_data_delegate_t, nsurlsession_delegate_t, nsurlsession_download_delegate_t,
    nsurlsession_session_delegate_t, nsurlsession_task_delegate_t,
};
use super::library::nsurlsession_version;
use super::queue::nsurlsession_executor_t;
use super::stream::nsurlsession_input_stream_source_t;
use super::types::{
    nsurlsession_log_level_t, nsurlsession_response_disposition_t, nsurlsession_stream_status_t,
    nsurlsession_task_kind_t, nsurlsession_task_metrics_domain_resolution_protocol_t,
    nsurlsession_task_metrics_resource_fetch_type_t, nsurlsession_task_state_t,
};
use crate::foundation::error;
use crate::foundation::error_code;
use crate::foundation::progress;
use crate::foundation::stream::StreamStatus;
use crate::loading::metrics::FetchType;
use crate::task::TaskState;

/// A C source file that compiles if and only if the header says what this library does.
pub fn assertions() -> String {
    let mut source = String::from(
        "#include <nsurlsession/nsurlsession.h>\n#include <assert.h>\n#include <stddef.h>\n",
    );
    let mut equal = |left: String, right: String| {
        let _ = writeln!(
            source,
            "static_assert({left} == {right}, \"{}\");",
            left.replace('"', "'")
        );
    };
    macro_rules! layout {
        ($type:ident: $($member:ident),*) => {
            equal(format!("sizeof({})", stringify!($type)), size_of::<$type>().to_string());
            $(equal(
                format!("offsetof({}, {})", stringify!($type), stringify!($member)),
                offset_of!($type, $member).to_string(),
            );)*
        };
    }
    layout!(nsurlsession_session_delegate_t: struct_size, did_become_invalid_with_error);
    layout!(nsurlsession_task_delegate_t:
        struct_size, did_create_task, will_perform_http_redirection, did_complete_with_error,
        need_new_body_stream, need_new_body_stream_from_offset, did_send_body_data,
        did_receive_informational_response, did_finish_collecting_metrics);
    layout!(nsurlsession_data_delegate_t:
        struct_size, did_receive_response, did_receive_data, did_become_download_task);
    layout!(nsurlsession_download_delegate_t:
        struct_size, did_finish_downloading_to_url, did_write_data, did_resume_at_offset);
    layout!(nsurlsession_delegate_t: struct_size, context, release, session, task, data, download);
    layout!(nsurlsession_executor_t: struct_size, context, release, execute);
    layout!(nsurlsession_input_stream_source_t:
        struct_size, context, release, read, open, close);
    layout!(nsurlsession_stream_status_t:);
    layout!(nsurlsession_task_state_t:);
    layout!(nsurlsession_task_kind_t:);
    layout!(nsurlsession_response_disposition_t:);
    layout!(nsurlsession_log_level_t:);
    layout!(nsurlsession_task_metrics_resource_fetch_type_t:);
    layout!(nsurlsession_task_metrics_domain_resolution_protocol_t:);

    let mut constant = |name: &str, value: i64| equal(name.to_owned(), value.to_string());
    constant(
        "NSURLSESSION_VERSION_NUMBER",
        i64::from(nsurlsession_version()),
    );
    constant(
        "(NSURLSESSION_VERSION_MAJOR << 16 | NSURLSESSION_VERSION_MINOR << 8 | NSURLSESSION_VERSION_PATCH)",
        i64::from(nsurlsession_version()),
    );
    constant("NSURLSESSION_TRANSFER_SIZE_UNKNOWN", -1);
    constant("NSURLSESSION_RESPONSE_UNKNOWN_LENGTH", -1);
    constant("NSURLSESSION_TASK_STATE_RUNNING", TaskState::Running as i64);
    constant(
        "NSURLSESSION_TASK_STATE_SUSPENDED",
        TaskState::Suspended as i64,
    );
    constant(
        "NSURLSESSION_TASK_STATE_CANCELING",
        TaskState::Canceling as i64,
    );
    constant(
        "NSURLSESSION_TASK_STATE_COMPLETED",
        TaskState::Completed as i64,
    );
    for (name, value) in [
        ("TASK_KIND_NONE", 0),
        ("TASK_KIND_DATA", 1),
        ("TASK_KIND_UPLOAD", 2),
        ("TASK_KIND_DOWNLOAD", 3),
        ("RESPONSE_CANCEL", 0),
        ("RESPONSE_ALLOW", 1),
        ("RESPONSE_BECOME_DOWNLOAD", 2),
        ("RESPONSE_BECOME_STREAM", 3),
        ("STREAM_STATUS_NOT_OPEN", StreamStatus::NotOpen as i64),
        ("STREAM_STATUS_OPENING", StreamStatus::Opening as i64),
        ("STREAM_STATUS_OPEN", StreamStatus::Open as i64),
        ("STREAM_STATUS_READING", StreamStatus::Reading as i64),
        ("STREAM_STATUS_WRITING", StreamStatus::Writing as i64),
        ("STREAM_STATUS_AT_END", StreamStatus::AtEnd as i64),
        ("STREAM_STATUS_CLOSED", StreamStatus::Closed as i64),
        ("STREAM_STATUS_ERROR", StreamStatus::Error as i64),
        ("STREAM_READ_ERROR", -1),
        ("STREAM_READ_NOT_NOW", super::stream::NOT_NOW),
        (
            "TASK_METRICS_RESOURCE_FETCH_TYPE_UNKNOWN",
            FetchType::Unknown as i64,
        ),
        (
            "TASK_METRICS_RESOURCE_FETCH_TYPE_NETWORK_LOAD",
            FetchType::NetworkLoad as i64,
        ),
        ("TASK_METRICS_RESOURCE_FETCH_TYPE_SERVER_PUSH", 2),
        ("TASK_METRICS_RESOURCE_FETCH_TYPE_LOCAL_CACHE", 3),
        ("TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_UNKNOWN", 0),
        ("TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_UDP", 1),
        ("TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_TCP", 2),
        ("TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_TLS", 3),
        ("TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_HTTPS", 4),
        ("LOG_LEVEL_ERROR", 1),
        ("LOG_LEVEL_WARN", 2),
        ("LOG_LEVEL_INFO", 3),
        ("LOG_LEVEL_DEBUG", 4),
        ("LOG_LEVEL_TRACE", 5),
        ("ERROR_CANCELLED", error_code::CANCELLED),
        ("ERROR_TIMED_OUT", error_code::TIMED_OUT),
        (
            "ERROR_DOWNLOAD_DECODING_FAILED_TO_COMPLETE",
            error_code::DOWNLOAD_DECODING_FAILED_TO_COMPLETE,
        ),
    ] {
        constant(&format!("NSURLSESSION_{name}"), value);
    }

    // Strings: C99 cannot compare them at compile time, but their lengths and ends.
    for (name, value) in [
        ("ERROR_DOMAIN", error::URL_DOMAIN),
        ("POSIX_ERROR_DOMAIN", error::POSIX_DOMAIN),
        ("CURL_ERROR_DOMAIN", error::CURL_DOMAIN),
        ("OPENSSL_ERROR_DOMAIN", error::OPENSSL_DOMAIN),
        ("ERROR_FAILING_URL_ERROR_KEY", error::FAILING_URL_KEY),
        (
            "ERROR_FAILING_URL_STRING_ERROR_KEY",
            error::FAILING_URL_STRING_KEY,
        ),
        ("UNDERLYING_ERROR_KEY", error::UNDERLYING_ERROR_KEY),
        ("LOCALIZED_DESCRIPTION_KEY", error::DESCRIPTION_KEY),
        (
            "LOCALIZED_FAILURE_REASON_ERROR_KEY",
            error::FAILURE_REASON_KEY,
        ),
        (
            "LOCALIZED_RECOVERY_SUGGESTION_ERROR_KEY",
            error::RECOVERY_SUGGESTION_KEY,
        ),
        ("PROGRESS_KIND_FILE", progress::KIND_FILE),
        (
            "PROGRESS_FILE_OPERATION_KIND_DOWNLOADING",
            progress::DOWNLOADING,
        ),
        (
            "PROGRESS_FILE_OPERATION_KIND_UPLOADING",
            progress::UPLOADING,
        ),
        (
            "PROGRESS_FILE_OPERATION_KIND_RECEIVING",
            progress::RECEIVING,
        ),
        ("ERROR_TIMEOUT_KIND_KEY", error::TIMEOUT_KIND_KEY),
        ("DOWNLOAD_TASK_RESUME_DATA", error::DOWNLOAD_RESUME_DATA_KEY),
        ("UPLOAD_TASK_RESUME_DATA", error::UPLOAD_RESUME_DATA_KEY),
    ] {
        equal(
            format!("sizeof(NSURLSESSION_{name})"),
            format!("sizeof(\"{value}\")"),
        );
    }
    source
}
