/*
 * libnsurlsession: annotations, constants, callback types and vtables.
 *
 * Written by hand; included by nsurlsession.h, which declares the functions. Include that one.
 */
#ifndef NSURLSESSION_BASE_H
#define NSURLSESSION_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Annotations: each vanishes where the compiler lacks it ------------------------------- */

#ifndef __has_attribute
#define NSURLSESSION_HAS_ATTRIBUTE(x) 0
#else
#define NSURLSESSION_HAS_ATTRIBUTE(x) __has_attribute(x)
#endif

#ifndef __has_feature
#define NSURLSESSION_HAS_FEATURE(x) 0
#else
#define NSURLSESSION_HAS_FEATURE(x) __has_feature(x)
#endif

/* May be NULL. */
#if NSURLSESSION_HAS_FEATURE(nullability)
#define NSURLSESSION_NULLABLE _Nullable
#define NSURLSESSION_NONNULL _Nonnull
#else
#define NSURLSESSION_NULLABLE
#define NSURLSESSION_NONNULL
#endif

/* The name that Swift gives a C declaration. */
#if NSURLSESSION_HAS_ATTRIBUTE(swift_name)
#define NSURLSESSION_SWIFT_NAME(name) __attribute__((swift_name(name)))
#else
#define NSURLSESSION_SWIFT_NAME(name)
#endif

/* Declares `name` as a 32-bit enumeration that later versions may add values to. */
#if NSURLSESSION_HAS_ATTRIBUTE(enum_extensibility)
#define NSURLSESSION_OPEN __attribute__((enum_extensibility(open)))
#else
#define NSURLSESSION_OPEN
#endif
#if defined(__cplusplus)
#define NSURLSESSION_ENUM(name) int32_t name; enum NSURLSESSION_OPEN : int32_t
#elif (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L) || NSURLSESSION_HAS_FEATURE(objc_fixed_enum)
#define NSURLSESSION_ENUM(name) enum NSURLSESSION_OPEN name : int32_t name; enum NSURLSESSION_OPEN name : int32_t
#else
#define NSURLSESSION_ENUM(name) int32_t name; enum
#endif

#if defined(__GNUC__) || defined(__clang__)
#define NSURLSESSION_DEPRECATED(message) __attribute__((deprecated(message)))
#else
#define NSURLSESSION_DEPRECATED(message)
#endif

#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------ */

#define NSURLSESSION_VERSION_MAJOR 0
#define NSURLSESSION_VERSION_MINOR 1
#define NSURLSESSION_VERSION_PATCH 0
/* Compares with what nsurlsession_version() returns: 0x00MMmmpp. */
#define NSURLSESSION_VERSION_NUMBER 0x000100

/* ---- Object types ------------------------------------------------------------------------- */

/* NSURLSession. Usable from any thread. */
typedef struct nsurlsession_t nsurlsession_t;
/* NSURLSessionTask and its subclasses. Usable from any thread. */
typedef struct nsurlsession_task_t nsurlsession_task_t;
/* NSURLSessionConfiguration. Mutable; a session copies it. */
typedef struct nsurlsession_configuration_t nsurlsession_configuration_t;
/* NSURLRequest and NSMutableURLRequest. A task copies it. */
typedef struct nsurlsession_request_t nsurlsession_request_t;
/* NSURLResponse and NSHTTPURLResponse. Immutable. */
typedef struct nsurlsession_response_t nsurlsession_response_t;
/* NSError. Immutable. */
typedef struct nsurlsession_error_t nsurlsession_error_t;
/* NSOperationQueue, always serial: where callbacks run. */
typedef struct nsurlsession_queue_t nsurlsession_queue_t;
/* NSData: immutable bytes. */
typedef struct nsurlsession_data_t nsurlsession_data_t;
/* NSString: immutable UTF-8 text. */
typedef struct nsurlsession_string_t nsurlsession_string_t;
/* NSArray of objects. */
typedef struct nsurlsession_array_t nsurlsession_array_t;
/* NSDictionary with string keys in insertion order. */
typedef struct nsurlsession_dictionary_t nsurlsession_dictionary_t;
/* A portion of a queue's work that an executor runs or discards. */
typedef struct nsurlsession_work_t nsurlsession_work_t;
/* The answer that did_receive_response owes: nsurlsession_response_completion_call. */
typedef struct nsurlsession_response_completion_t nsurlsession_response_completion_t;
/* The answer that will_perform_http_redirection owes: nsurlsession_redirection_completion_call. */
typedef struct nsurlsession_redirection_completion_t nsurlsession_redirection_completion_t;
/* The answer that need_new_body_stream owes: nsurlsession_body_stream_completion_call. */
typedef struct nsurlsession_body_stream_completion_t nsurlsession_body_stream_completion_t;
/* NSInputStream: bytes to read, such as a request's body. */
typedef struct nsurlsession_input_stream_t nsurlsession_input_stream_t;
/* NSOutputStream: the end of a bound pair that is written to. */
typedef struct nsurlsession_output_stream_t nsurlsession_output_stream_t;
/* NSProgress. Usable from any thread. */
typedef struct nsurlsession_progress_t nsurlsession_progress_t;
/* NSURLSessionTaskMetrics. Immutable. */
typedef struct nsurlsession_task_metrics_t nsurlsession_task_metrics_t;
/* NSURLSessionTaskTransactionMetrics: one request and its response. Immutable. */
typedef struct nsurlsession_transaction_metrics_t nsurlsession_transaction_metrics_t;
/* NSDateInterval. Immutable. */
typedef struct nsurlsession_date_interval_t nsurlsession_date_interval_t;

/* ---- Numbers ------------------------------------------------------------------------------ */

/* NSURLSessionTransferSizeUnknown: a byte count that is not known. */
#define NSURLSESSION_TRANSFER_SIZE_UNKNOWN ((int64_t)-1)
/* NSURLResponseUnknownLength: what expectedContentLength is when the server did not say. */
#define NSURLSESSION_RESPONSE_UNKNOWN_LENGTH ((int64_t)-1)

/* NSURLSessionTaskPriority: values for nsurlsession_task_set_priority, which takes any from 0 to 1. */
#define NSURLSESSION_TASK_PRIORITY_LOW 0.25f
#define NSURLSESSION_TASK_PRIORITY_DEFAULT 0.5f
#define NSURLSESSION_TASK_PRIORITY_HIGH 0.75f

/* NSURLSessionTaskState. */
typedef NSURLSESSION_ENUM(nsurlsession_task_state_t) {
    /* Being served; timeouts apply. */
    NSURLSESSION_TASK_STATE_RUNNING = 0,
    /* Paused or not yet resumed; no timeouts. */
    NSURLSESSION_TASK_STATE_SUSPENDED = 1,
    /* Cancel was requested; the last callback is still to come. */
    NSURLSESSION_TASK_STATE_CANCELING = 2,
    /* Finished, with or without an error. */
    NSURLSESSION_TASK_STATE_COMPLETED = 3
};

/* Which of Apple's task classes a task is. */
typedef NSURLSESSION_ENUM(nsurlsession_task_kind_t) {
    /* Not a task: the answer for NULL. */
    NSURLSESSION_TASK_KIND_NONE = 0,
    /* NSURLSessionDataTask. */
    NSURLSESSION_TASK_KIND_DATA = 1,
    /* NSURLSessionUploadTask. */
    NSURLSESSION_TASK_KIND_UPLOAD = 2,
    /* NSURLSessionDownloadTask. */
    NSURLSESSION_TASK_KIND_DOWNLOAD = 3
};

/* NSURLSessionResponseDisposition: the answer to did_receive_response. */
typedef NSURLSESSION_ENUM(nsurlsession_response_disposition_t) {
    /* Cancel the task: it completes with NSURLSESSION_ERROR_CANCELLED. */
    NSURLSESSION_RESPONSE_CANCEL = 0,
    /* Go on; the body follows. */
    NSURLSESSION_RESPONSE_ALLOW = 1,
    /* Turn into a download task: did_become_download_task has it. */
    NSURLSESSION_RESPONSE_BECOME_DOWNLOAD = 2,
    /* Turn into a stream task. Not in this version: treated as cancel, and logged. */
    NSURLSESSION_RESPONSE_BECOME_STREAM = 3
};

/* NSStreamStatus. */
typedef NSURLSESSION_ENUM(nsurlsession_stream_status_t) {
    NSURLSESSION_STREAM_STATUS_NOT_OPEN = 0,
    NSURLSESSION_STREAM_STATUS_OPENING = 1,
    NSURLSESSION_STREAM_STATUS_OPEN = 2,
    NSURLSESSION_STREAM_STATUS_READING = 3,
    NSURLSESSION_STREAM_STATUS_WRITING = 4,
    /* All was read. */
    NSURLSESSION_STREAM_STATUS_AT_END = 5,
    NSURLSESSION_STREAM_STATUS_CLOSED = 6,
    /* nsurlsession_io_stream_stream_error says why. */
    NSURLSESSION_STREAM_STATUS_ERROR = 7
};

/* What a source's `read` returns instead of a number of bytes. */
#define NSURLSESSION_STREAM_READ_ERROR ((int64_t)-1)
#define NSURLSESSION_STREAM_READ_NOT_NOW ((int64_t)-2)

/* Values of nsurlsession_progress_kind and nsurlsession_progress_file_operation_kind. */
#define NSURLSESSION_PROGRESS_KIND_FILE "NSProgressKindFile"
#define NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_DOWNLOADING "NSProgressFileOperationKindDownloading"
#define NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_UPLOADING "NSProgressFileOperationKindUploading"
#define NSURLSESSION_PROGRESS_FILE_OPERATION_KIND_RECEIVING "NSProgressFileOperationKindReceiving"

/* NSURLSessionTaskMetricsResourceFetchType: where a transaction's response came from. */
typedef NSURLSESSION_ENUM(nsurlsession_task_metrics_resource_fetch_type_t) {
    /* Not known: the transaction never began. */
    NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_UNKNOWN = 0,
    /* The network. */
    NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_NETWORK_LOAD = 1,
    /* The server sent it unasked. Not produced any more, as by Apple's. */
    NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_SERVER_PUSH = 2,
    /* The cache. There is none in this version. */
    NSURLSESSION_TASK_METRICS_RESOURCE_FETCH_TYPE_LOCAL_CACHE = 3
};

/* NSURLSessionTaskMetricsDomainResolutionProtocol: how a name was looked up. */
typedef NSURLSESSION_ENUM(nsurlsession_task_metrics_domain_resolution_protocol_t) {
    /* Not known, or nothing was looked up. The system's resolver does not tell: always this one. */
    NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_UNKNOWN = 0,
    /* Plain DNS over UDP. */
    NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_UDP = 1,
    /* Plain DNS over TCP. */
    NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_TCP = 2,
    /* DNS over TLS. */
    NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_TLS = 3,
    /* DNS over HTTPS. */
    NSURLSESSION_TASK_METRICS_DOMAIN_RESOLUTION_PROTOCOL_HTTPS = 4
};

/* Levels of log records, most severe first. */
typedef NSURLSESSION_ENUM(nsurlsession_log_level_t) {
    NSURLSESSION_LOG_LEVEL_ERROR = 1,
    NSURLSESSION_LOG_LEVEL_WARN = 2,
    NSURLSESSION_LOG_LEVEL_INFO = 3,
    NSURLSESSION_LOG_LEVEL_DEBUG = 4,
    NSURLSESSION_LOG_LEVEL_TRACE = 5
};

/* ---- Errors ------------------------------------------------------------------------------- */

/* Domains: nsurlsession_error_domain() returns one of these strings or the caller's own. */
#define NSURLSESSION_ERROR_DOMAIN "NSURLErrorDomain"
#define NSURLSESSION_POSIX_ERROR_DOMAIN "NSPOSIXErrorDomain"
#define NSURLSESSION_COCOA_ERROR_DOMAIN "NSCocoaErrorDomain"
/* Underlying errors: code is libcurl's CURLcode. */
#define NSURLSESSION_CURL_ERROR_DOMAIN "libcurl"
/* Underlying errors: code is OpenSSL's X509_V_ERR_* verification result. */
#define NSURLSESSION_OPENSSL_ERROR_DOMAIN "OpenSSL"

/* Keys of nsurlsession_error_user_info(); the value is a string object unless stated. */

/* NSURLErrorFailingURLErrorKey: the URL that failed, after redirects. */
#define NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY "NSErrorFailingURLKey"
/* NSURLErrorFailingURLStringErrorKey: the same, as Apple's string. */
#define NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY "NSErrorFailingURLStringKey"
/* NSErrorFailingURLStringKey: older name of the same key. */
#define NSURLSESSION_ERROR_FAILING_URL_STRING_KEY "NSErrorFailingURLStringKey"
/* NSURLErrorFailingURLPeerTrustErrorKey: trust object of a failed TLS evaluation. */
#define NSURLSESSION_ERROR_FAILING_URL_PEER_TRUST_ERROR_KEY "NSURLErrorFailingURLPeerTrustErrorKey"
/* NSURLErrorBackgroundTaskCancelledReasonKey: why a background task was cancelled. */
#define NSURLSESSION_ERROR_BACKGROUND_TASK_CANCELLED_REASON_KEY "NSURLErrorBackgroundTaskCancelledReasonKey"
/* NSURLErrorNetworkUnavailableReasonKey: which constraint kept the task off the network. */
#define NSURLSESSION_ERROR_NETWORK_UNAVAILABLE_REASON_KEY "NSURLErrorNetworkUnavailableReasonKey"
/* NSURLSessionDownloadTaskResumeData: data object to resume a download from. */
#define NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA "NSURLSessionDownloadTaskResumeData"
/* NSURLSessionUploadTaskResumeData: data object to resume an upload from. */
#define NSURLSESSION_UPLOAD_TASK_RESUME_DATA "NSURLSessionUploadTaskResumeData"
/* NSUnderlyingErrorKey: error object of the layer below (libcurl, OpenSSL, POSIX). */
#define NSURLSESSION_UNDERLYING_ERROR_KEY "NSUnderlyingError"
/* NSLocalizedDescriptionKey: what went wrong, for a person. */
#define NSURLSESSION_LOCALIZED_DESCRIPTION_KEY "NSLocalizedDescription"
/* NSLocalizedFailureReasonErrorKey: why. */
#define NSURLSESSION_LOCALIZED_FAILURE_REASON_ERROR_KEY "NSLocalizedFailureReason"
/* NSLocalizedRecoverySuggestionErrorKey: what the person can do about it. */
#define NSURLSESSION_LOCALIZED_RECOVERY_SUGGESTION_ERROR_KEY "NSLocalizedRecoverySuggestion"
/* NSURLErrorKey: the URL concerned. */
#define NSURLSESSION_ERROR_URL_KEY "NSURL"
/* Which timer expired when the code is NSURLSESSION_ERROR_TIMED_OUT: "request" or "resource". */
#define NSURLSESSION_ERROR_TIMEOUT_KIND_KEY "NSURLSessionTimeoutKind"

/* Codes of NSURLErrorDomain, with Apple's numbers. */
typedef NSURLSESSION_ENUM(nsurlsession_error_code_t) {
    /* NSURLErrorUnknown: Uninterpreted lower-level failure. */
    NSURLSESSION_ERROR_UNKNOWN = -1,
    /* NSURLErrorBackgroundSessionRequiresSharedContainer: Extension session without shared container. */
    NSURLSESSION_ERROR_BACKGROUND_SESSION_REQUIRES_SHARED_CONTAINER = -995,
    /* NSURLErrorBackgroundSessionInUseByAnotherProcess: Identifier already served by another process. */
    NSURLSESSION_ERROR_BACKGROUND_SESSION_IN_USE_BY_ANOTHER_PROCESS = -996,
    /* NSURLErrorBackgroundSessionWasDisconnected: Background data task lost its service or app was suspended. */
    NSURLSESSION_ERROR_BACKGROUND_SESSION_WAS_DISCONNECTED = -997,
    /* NSURLErrorCancelled: Task, challenge or redirect was cancelled; result of cancel, ResponseCancel and CancelAuthenticationChallenge. */
    NSURLSESSION_ERROR_CANCELLED = -999,
    /* NSURLErrorBadURL: URL malformed. */
    NSURLSESSION_ERROR_BAD_URL = -1000,
    /* NSURLErrorTimedOut: Request (idle) or resource timer expired, or a stream read/write timeout. */
    NSURLSESSION_ERROR_TIMED_OUT = -1001,
    /* NSURLErrorUnsupportedURL: No handler for the scheme, or no URL. */
    NSURLSESSION_ERROR_UNSUPPORTED_URL = -1002,
    /* NSURLErrorCannotFindHost: Name does not resolve. */
    NSURLSESSION_ERROR_CANNOT_FIND_HOST = -1003,
    /* NSURLErrorCannotConnectToHost: Connection refused or unreachable. */
    NSURLSESSION_ERROR_CANNOT_CONNECT_TO_HOST = -1004,
    /* NSURLErrorNetworkConnectionLost: Connection broke during the load; idempotent requests on a reused connection are retried once silently before this is reported. */
    NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST = -1005,
    /* NSURLErrorDNSLookupFailed: Historic DNS failure; not produced today. */
    NSURLSESSION_ERROR_DNS_LOOKUP_FAILED = -1006,
    /* NSURLErrorHTTPTooManyRedirects: Redirect limit exceeded (header says 16, 20 observed on newer systems). */
    NSURLSESSION_ERROR_HTTP_TOO_MANY_REDIRECTS = -1007,
    /* NSURLErrorResourceUnavailable: Resource cannot be retrieved. */
    NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE = -1008,
    /* NSURLErrorNotConnectedToInternet: No usable network and not waiting for one. */
    NSURLSESSION_ERROR_NOT_CONNECTED_TO_INTERNET = -1009,
    /* NSURLErrorRedirectToNonExistentLocation: Redirect without usable target. */
    NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION = -1010,
    /* NSURLErrorBadServerResponse: Invalid answer (e.g. failed WebSocket upgrade, malformed HTTP). */
    NSURLSESSION_ERROR_BAD_SERVER_RESPONSE = -1011,
    /* NSURLErrorUserCancelledAuthentication: Authentication dialog cancelled. */
    NSURLSESSION_ERROR_USER_CANCELLED_AUTHENTICATION = -1012,
    /* NSURLErrorUserAuthenticationRequired: Authentication needed and none possible. */
    NSURLSESSION_ERROR_USER_AUTHENTICATION_REQUIRED = -1013,
    /* NSURLErrorZeroByteResource: Non-empty length announced, nothing sent. */
    NSURLSESSION_ERROR_ZERO_BYTE_RESOURCE = -1014,
    /* NSURLErrorCannotDecodeRawData: Known content coding failed to decode. */
    NSURLSESSION_ERROR_CANNOT_DECODE_RAW_DATA = -1015,
    /* NSURLErrorCannotDecodeContentData: Unknown content coding. */
    NSURLSESSION_ERROR_CANNOT_DECODE_CONTENT_DATA = -1016,
    /* NSURLErrorCannotParseResponse: Response not parseable as HTTP. */
    NSURLSESSION_ERROR_CANNOT_PARSE_RESPONSE = -1017,
    /* NSURLErrorInternationalRoamingOff: Roaming data is off. */
    NSURLSESSION_ERROR_INTERNATIONAL_ROAMING_OFF = -1018,
    /* NSURLErrorCallIsActive: Voice call blocks data. */
    NSURLSESSION_ERROR_CALL_IS_ACTIVE = -1019,
    /* NSURLErrorDataNotAllowed: Cellular data forbidden. */
    NSURLSESSION_ERROR_DATA_NOT_ALLOWED = -1020,
    /* NSURLErrorRequestBodyStreamExhausted: Body stream needed again and none supplied. */
    NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED = -1021,
    /* NSURLErrorAppTransportSecurityRequiresSecureConnection: Cleartext HTTP blocked by ATS; also after a redirect to http. */
    NSURLSESSION_ERROR_APP_TRANSPORT_SECURITY_REQUIRES_SECURE_CONNECTION = -1022,
    /* NSURLErrorFileDoesNotExist: file: URL or upload file missing. */
    NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST = -1100,
    /* NSURLErrorFileIsDirectory: Target is a directory. */
    NSURLSESSION_ERROR_FILE_IS_DIRECTORY = -1101,
    /* NSURLErrorNoPermissionsToReadFile: No read permission. */
    NSURLSESSION_ERROR_NO_PERMISSIONS_TO_READ_FILE = -1102,
    /* NSURLErrorDataLengthExceedsMaximum: Resource bigger than allowed (also GET with body on new systems). */
    NSURLSESSION_ERROR_DATA_LENGTH_EXCEEDS_MAXIMUM = -1103,
    /* NSURLErrorFileOutsideSafeArea: Internal file error, not sent to apps. */
    NSURLSESSION_ERROR_FILE_OUTSIDE_SAFE_AREA = -1104,
    /* NSURLErrorSecureConnectionFailed: TLS failed for another reason (version, cipher, ATS strength rules). */
    NSURLSESSION_ERROR_SECURE_CONNECTION_FAILED = -1200,
    /* NSURLErrorServerCertificateHasBadDate: Certificate expired or not yet valid. */
    NSURLSESSION_ERROR_SERVER_CERTIFICATE_HAS_BAD_DATE = -1201,
    /* NSURLErrorServerCertificateUntrusted: Certificate chain or host name not trusted. */
    NSURLSESSION_ERROR_SERVER_CERTIFICATE_UNTRUSTED = -1202,
    /* NSURLErrorServerCertificateHasUnknownRoot: Chain has no known root. */
    NSURLSESSION_ERROR_SERVER_CERTIFICATE_HAS_UNKNOWN_ROOT = -1203,
    /* NSURLErrorServerCertificateNotYetValid: Certificate not valid yet. */
    NSURLSESSION_ERROR_SERVER_CERTIFICATE_NOT_YET_VALID = -1204,
    /* NSURLErrorClientCertificateRejected: Server refused the client certificate. */
    NSURLSESSION_ERROR_CLIENT_CERTIFICATE_REJECTED = -1205,
    /* NSURLErrorClientCertificateRequired: Server wants a client certificate and none was given. */
    NSURLSESSION_ERROR_CLIENT_CERTIFICATE_REQUIRED = -1206,
    /* NSURLErrorCannotLoadFromNetwork: Policy says cache only and nothing is cached. */
    NSURLSESSION_ERROR_CANNOT_LOAD_FROM_NETWORK = -2000,
    /* NSURLErrorCannotCreateFile: Download file cannot be created. */
    NSURLSESSION_ERROR_CANNOT_CREATE_FILE = -3000,
    /* NSURLErrorCannotOpenFile: Download file cannot be opened. */
    NSURLSESSION_ERROR_CANNOT_OPEN_FILE = -3001,
    /* NSURLErrorCannotCloseFile: Download file cannot be closed. */
    NSURLSESSION_ERROR_CANNOT_CLOSE_FILE = -3002,
    /* NSURLErrorCannotWriteToFile: Write to download file failed (disk full). */
    NSURLSESSION_ERROR_CANNOT_WRITE_TO_FILE = -3003,
    /* NSURLErrorCannotRemoveFile: File cannot be removed. */
    NSURLSESSION_ERROR_CANNOT_REMOVE_FILE = -3004,
    /* NSURLErrorCannotMoveFile: File cannot be moved. */
    NSURLSESSION_ERROR_CANNOT_MOVE_FILE = -3005,
    /* NSURLErrorDownloadDecodingFailedMidStream: Decoding failed during download. */
    NSURLSESSION_ERROR_DOWNLOAD_DECODING_FAILED_MID_STREAM = -3006,
    /* NSURLErrorDownloadDecodingFailedToComplete: Decoding failed at the end. */
    NSURLSESSION_ERROR_DOWNLOAD_DECODING_FAILED_TO_COMPLETE = -3007
};

/* ---- Blocks: a function and the context that it gets first -------------------------------- */

/* Releases a context. Called exactly once. */
typedef void (*nsurlsession_release_block_t)(void *NSURLSESSION_NULLABLE context);

/* An operation on a queue. */
typedef void (*nsurlsession_operation_block_t)(void *NSURLSESSION_NULLABLE context);

/* Releases bytes that nsurlsession_data_with_bytes_no_copy_length_deallocator took over. */
typedef void (*nsurlsession_data_deallocator_t)(void *NSURLSESSION_NULLABLE context,
                                                void *NSURLSESSION_NULLABLE bytes, size_t length);

/*
 * Completion handler of a data task. Called exactly once, on the session's delegate queue, whatever
 * happens, so `context` can be freed in it. Success: `error` is NULL, `response` is set and `data`
 * is set, possibly empty. Failure: `error` is set, `data` is NULL, `response` is set if it had come.
 * The three handles are borrowed: retain what is to outlive the call.
 */
typedef void (*nsurlsession_data_task_completion_handler_t)(
    void *NSURLSESSION_NULLABLE context, nsurlsession_data_t *NSURLSESSION_NULLABLE data,
    nsurlsession_response_t *NSURLSESSION_NULLABLE response,
    nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/*
 * Completion handler of a download task. Called exactly once, on the session's delegate queue,
 * whatever happens. Success: `error` is NULL, `response` is set and `location` is the file: URL of a
 * file with the body, whatever the HTTP status (nsurlsession_url_path gives its path); the file is
 * removed when the handler returns: move it or open it. Failure: `error` is set, `location` is NULL.
 */
typedef void (*nsurlsession_download_task_completion_handler_t)(
    void *NSURLSESSION_NULLABLE context, const char *NSURLSESSION_NULLABLE location,
    nsurlsession_response_t *NSURLSESSION_NULLABLE response,
    nsurlsession_error_t *NSURLSESSION_NULLABLE error);

/*
 * Receiver of resume data. Called exactly once, on a thread of the library's. NULL: the task cannot
 * be resumed. `resume_data` is borrowed: retain it, or save its bytes.
 */
typedef void (*nsurlsession_resume_data_handler_t)(
    void *NSURLSESSION_NULLABLE context, nsurlsession_data_t *NSURLSESSION_NULLABLE resume_data);

/* Receiver of nsurlsession_get_tasks_with_completion_handler: three arrays of unfinished tasks. */
typedef void (*nsurlsession_get_tasks_completion_handler_t)(
    void *NSURLSESSION_NULLABLE context, nsurlsession_array_t *NSURLSESSION_NONNULL data_tasks,
    nsurlsession_array_t *NSURLSESSION_NONNULL upload_tasks,
    nsurlsession_array_t *NSURLSESSION_NONNULL download_tasks);

/* Receiver of nsurlsession_get_all_tasks_with_completion_handler: every unfinished task. */
typedef void (*nsurlsession_get_all_tasks_completion_handler_t)(
    void *NSURLSESSION_NULLABLE context, nsurlsession_array_t *NSURLSESSION_NONNULL tasks);

/* Called when a progress is cancelled, paused or resumed, on the thread that does so. */
typedef void (*nsurlsession_progress_handler_t)(void *NSURLSESSION_NULLABLE context);

/* Receiver of nsurlsession_progress_set_change_handler: something of `progress` has changed. */
typedef void (*nsurlsession_progress_change_handler_t)(
    void *NSURLSESSION_NULLABLE context, nsurlsession_progress_t *NSURLSESSION_NONNULL progress);

/*
 * Receiver of log records. May be called on any thread, also on the library's own and while a
 * function of the library is running: it must be quick and must not call the library.
 */
typedef void (*nsurlsession_log_handler_t)(void *NSURLSESSION_NULLABLE context,
                                           nsurlsession_log_level_t level,
                                           const char *NSURLSESSION_NONNULL target,
                                           const char *NSURLSESSION_NONNULL message);

/* ---- Delegates ---------------------------------------------------------------------------- */

/*
 * Every vtable starts with `struct_size`: set it to sizeof the struct. A member that is NULL, or
 * lies beyond struct_size, is a method that the delegate does not implement. Vtables are copied
 * when they are handed over, so they may live on the stack. Every method runs on the session's
 * delegate queue unless its comment says otherwise. Handles are borrowed for the call.
 */

/* NSURLSessionDelegate. */
typedef struct nsurlsession_session_delegate_t {
    size_t struct_size;
    /*
     * URLSession:didBecomeInvalidWithError: The session's last message. `error` is NULL after an
     * explicit invalidation. The delegate's context is released after it.
     */
    void (*NSURLSESSION_NULLABLE did_become_invalid_with_error)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_error_t *NSURLSESSION_NULLABLE error);
} nsurlsession_session_delegate_t;

/* NSURLSessionTaskDelegate. */
typedef struct nsurlsession_task_delegate_t {
    size_t struct_size;
    /*
     * URLSession:didCreateTask: A task's first message. Called on the thread that creates the
     * task, before the function that creates it returns: the place to set its properties.
     */
    void (*NSURLSESSION_NULLABLE did_create_task)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task);
    /*
     * URLSession:task:willPerformHTTPRedirection:newRequest:completionHandler: A redirect came and
     * `request` is what would be sent next. Answer with nsurlsession_redirection_completion_call:
     * `request`, another request, or NULL to take the redirect response itself with its body.
     * Until then only this task waits. Retain `completion` to answer later, from any thread;
     * released unanswered, the task is cancelled. Not implemented: redirects are followed.
     */
    void (*NSURLSESSION_NULLABLE will_perform_http_redirection)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_response_t *NSURLSESSION_NONNULL response,
        nsurlsession_request_t *NSURLSESSION_NONNULL request,
        nsurlsession_redirection_completion_t *NSURLSESSION_NONNULL completion);
    /*
     * URLSession:task:didCompleteWithError: A task's last message, exactly once. `error` is NULL
     * for success, whatever the HTTP status. Not sent to tasks with a completion handler.
     */
    void (*NSURLSESSION_NULLABLE did_complete_with_error)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_error_t *NSURLSESSION_NULLABLE error);
    /*
     * URLSession:task:needNewBodyStream: The request's body is to be sent, or sent again: at the
     * start of an upload with nsurlsession_upload_task_with_streamed_request, and when a body that
     * came from a stream must be repeated after a redirect or a lost connection. Answer with
     * nsurlsession_body_stream_completion_call and a stream that was not opened. Retain
     * `completion` to answer later, from any thread; released unanswered, the task is cancelled.
     * Not implemented: the task fails with NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED.
     */
    void (*NSURLSESSION_NULLABLE need_new_body_stream)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_body_stream_completion_t *NSURLSESSION_NONNULL completion);
    /*
     * URLSession:task:needNewBodyStreamFromOffset:completionHandler: The same for a resumed upload:
     * the stream is to begin with the body's byte number `offset`. Not implemented: such an upload
     * fails.
     */
    void (*NSURLSESSION_NULLABLE need_new_body_stream_from_offset)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task, int64_t offset,
        nsurlsession_body_stream_completion_t *NSURLSESSION_NONNULL completion);
    /*
     * URLSession:task:didSendBodyData:totalBytesSent:totalBytesExpectedToSend: `bytes_sent` more
     * bytes of the request's body were sent, `total_bytes_sent` in all, out of
     * `total_bytes_expected_to_send` (NSURLSESSION_TRANSFER_SIZE_UNKNOWN when that is not known).
     * Reports that wait for the delegate are merged. The total starts anew when the body is sent
     * again.
     */
    void (*NSURLSESSION_NULLABLE did_send_body_data)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task, int64_t bytes_sent, int64_t total_bytes_sent,
        int64_t total_bytes_expected_to_send);
    /*
     * URLSession:task:didReceiveInformationalResponse: A response with a status from 100 to 199
     * came, except 101, before the final one.
     */
    void (*NSURLSESSION_NULLABLE did_receive_informational_response)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_response_t *NSURLSESSION_NONNULL response);
    /*
     * URLSession:task:didFinishCollectingMetrics: What the task's requests took. Once a task, also
     * when it failed or was cancelled and when it has a completion handler: the last message before
     * its completion.
     */
    void (*NSURLSESSION_NULLABLE did_finish_collecting_metrics)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_task_metrics_t *NSURLSESSION_NONNULL metrics);
} nsurlsession_task_delegate_t;

/* NSURLSessionDataDelegate. */
typedef struct nsurlsession_data_delegate_t {
    size_t struct_size;
    /*
     * URLSession:dataTask:didReceiveResponse:completionHandler: The final response's headers came.
     * Answer with nsurlsession_response_completion_call; nothing else of this task is delivered
     * until then. Retain `completion` to answer later, from any thread; released unanswered, the
     * task is cancelled. Not implemented: allow.
     */
    void (*NSURLSESSION_NULLABLE did_receive_response)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_response_t *NSURLSESSION_NONNULL response,
        nsurlsession_response_completion_t *NSURLSESSION_NONNULL completion);
    /*
     * URLSession:dataTask:didReceiveData: The next piece of the body after content decoding, in
     * order, never empty. Retain `data` to keep it: that copies nothing. While this method runs
     * the server is held back once a window's worth of bytes is waiting.
     */
    void (*NSURLSESSION_NULLABLE did_receive_data)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_data_t *NSURLSESSION_NONNULL data);
    /*
     * URLSession:dataTask:didBecomeDownloadTask: The answer to did_receive_response was
     * NSURLSESSION_RESPONSE_BECOME_DOWNLOAD: all further messages are about `download_task`, and
     * `task` is completed without another one.
     */
    void (*NSURLSESSION_NULLABLE did_become_download_task)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task,
        nsurlsession_task_t *NSURLSESSION_NONNULL download_task);
} nsurlsession_data_delegate_t;

/* NSURLSessionDownloadDelegate. */
typedef struct nsurlsession_download_delegate_t {
    size_t struct_size;
    /*
     * URLSession:downloadTask:didFinishDownloadingToURL: All of the body is in the file that
     * `location` names, a file: URL, whatever the HTTP status (nsurlsession_url_path gives its
     * path). Move the file or open it now: it is removed when this returns.
     */
    void (*NSURLSESSION_NULLABLE did_finish_downloading_to_url)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task, const char *NSURLSESSION_NONNULL location);
    /*
     * URLSession:downloadTask:didWriteData:totalBytesWritten:totalBytesExpectedToWrite:
     * `bytes_written` more bytes were written to the file, `total_bytes_written` in all, those of
     * an earlier task that was resumed included, out of `total_bytes_expected_to_write`
     * (NSURLSESSION_TRANSFER_SIZE_UNKNOWN when the server did not say). Comes some times a second;
     * reports that wait for the delegate are merged.
     */
    void (*NSURLSESSION_NULLABLE did_write_data)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task, int64_t bytes_written, int64_t total_bytes_written,
        int64_t total_bytes_expected_to_write);
    /*
     * URLSession:downloadTask:didResumeAtOffset:expectedTotalBytes: The server goes on where the
     * resume data left off: `file_offset` bytes were there already. Before the first
     * did_write_data. Not sent when the download starts from the beginning after all.
     */
    void (*NSURLSESSION_NULLABLE did_resume_at_offset)(
        void *NSURLSESSION_NULLABLE context, nsurlsession_t *NSURLSESSION_NONNULL session,
        nsurlsession_task_t *NSURLSESSION_NONNULL task, int64_t file_offset, int64_t expected_total_bytes);
} nsurlsession_download_delegate_t;

/*
 * A delegate: a context and a vtable for each protocol that it adopts. The struct and the vtables
 * are copied. `release` is called with the context exactly once: after the last message of the
 * session that took it, or of the task, or when the call that was to take it failed. A struct whose
 * struct_size cannot be is not read: none of its functions is called.
 */
typedef struct nsurlsession_delegate_t {
    size_t struct_size;
    void *NSURLSESSION_NULLABLE context;
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release;
    const nsurlsession_session_delegate_t *NSURLSESSION_NULLABLE session;
    const nsurlsession_task_delegate_t *NSURLSESSION_NULLABLE task;
    const nsurlsession_data_delegate_t *NSURLSESSION_NULLABLE data;
    const nsurlsession_download_delegate_t *NSURLSESSION_NULLABLE download;
} nsurlsession_delegate_t;

/* ---- Streams ------------------------------------------------------------------------------ */

/*
 * Where a stream of nsurlsession_input_stream_with_source has its bytes from. Its functions are
 * called one at a time, by whoever opens, reads or closes the stream: threads of the library's when
 * it is a request's body. They may call any function, also for the stream itself.
 */
typedef struct nsurlsession_input_stream_source_t {
    size_t struct_size;
    void *NSURLSESSION_NULLABLE context;
    /* Called exactly once with the context: when the stream is closed or freed. */
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release;
    /*
     * Puts up to `max_length` bytes, which is not 0, into `buffer` and returns how many. 0: the end.
     * NSURLSESSION_STREAM_READ_ERROR: the source failed, with the number in errno (0: EIO).
     * NSURLSESSION_STREAM_READ_NOT_NOW: there is nothing now; nsurlsession_input_stream_signal says
     * when there is.
     */
    int64_t (*NSURLSESSION_NULLABLE read)(void *NSURLSESSION_NULLABLE context,
                                          uint8_t *NSURLSESSION_NONNULL buffer, size_t max_length);
    /*
     * Called once, before the first read; false: the stream fails, with the number in errno (0:
     * EIO). A source that signals retains `stream` here and releases it in `close`. May be NULL.
     */
    bool (*NSURLSESSION_NULLABLE open)(void *NSURLSESSION_NULLABLE context,
                                       nsurlsession_input_stream_t *NSURLSESSION_NONNULL stream);
    /* Called once when nothing more is read, if the stream had been opened. May be NULL. */
    void (*NSURLSESSION_NULLABLE close)(void *NSURLSESSION_NULLABLE context);
} nsurlsession_input_stream_source_t;

/* ---- Executors ---------------------------------------------------------------------------- */

/*
 * Lets a queue run on threads of the caller's: libdispatch, GLib, Qt, libuv, a thread pool.
 * `execute` is called on a thread of the library's, with at most one work item outstanding for a
 * queue, so callbacks never overlap, whatever the executor does. It hands the item to the place
 * where callbacks are to run: retain it, and there call nsurlsession_work_run and release it.
 * Running it inside `execute` is allowed. An item that will never run is to be discarded
 * (nsurlsession_work_discard, or a release without a run): its callbacks then run on a thread of
 * the library's instead, so that no completion handler is lost.
 */
typedef struct nsurlsession_executor_t {
    size_t struct_size;
    void *NSURLSESSION_NULLABLE context;
    /* Called exactly once with the context, when the queue is freed. */
    nsurlsession_release_block_t NSURLSESSION_NULLABLE release;
    void (*NSURLSESSION_NULLABLE execute)(void *NSURLSESSION_NULLABLE context,
                                          nsurlsession_work_t *NSURLSESSION_NONNULL work);
} nsurlsession_executor_t;

#ifdef __cplusplus
}
#endif

#if defined(__clang__)
#pragma clang diagnostic pop
#endif

#endif /* NSURLSESSION_BASE_H */
