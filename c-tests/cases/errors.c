/* Errors: made by hand, and those that tasks fail with. */
#include "misuse.h"
#include "recorder.h"

#include <errno.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

#define MAKE nsurlsession_error_with_domain_code_user_info

static void set(nsurlsession_dictionary_t *dictionary, const char *key, void *owned)
{
    nsurlsession_dictionary_set_object_for_key(dictionary, owned, key);
    nsurlsession_release(owned);
}

static void set_text(nsurlsession_dictionary_t *dictionary, const char *key, const char *text)
{
    set(dictionary, key, nsurlsession_string_with_utf8_string(text));
}

/* The text under a key of an error's user info; NULL if there is none. */
static const char *info_text(const nsurlsession_error_t *error, const char *key)
{
    return text_at(nsurlsession_error_user_info(error), key);
}

/* An error with one string in its user info. */
static nsurlsession_error_t *error_with_text(const char *domain, int64_t code, const char *key,
                                             const char *text)
{
    nsurlsession_dictionary_t *info = nsurlsession_dictionary_new();
    set_text(info, key, text);
    nsurlsession_error_t *error = MAKE(domain, code, info);
    nsurlsession_release(info);
    return error;
}

/* An error on top of another one; takes over the reference to that. */
static nsurlsession_error_t *error_above(const char *domain, int64_t code,
                                         nsurlsession_error_t *owned)
{
    nsurlsession_dictionary_t *info = nsurlsession_dictionary_new();
    set(info, NSURLSESSION_UNDERLYING_ERROR_KEY, owned);
    nsurlsession_error_t *error = MAKE(domain, code, info);
    nsurlsession_release(info);
    return error;
}

/* ---- Made by hand -------------------------------------------------------------------------- */

TEST(error_holds_domain_and_code)
{
    char domain[] = "com.example";
    nsurlsession_error_t *error = MAKE(domain, 42, NULL);
    memset(domain, 'x', sizeof domain - 1);
    CHECK_EQ_STR(nsurlsession_error_domain(error), "com.example");
    CHECK(nsurlsession_error_domain(error) == nsurlsession_error_domain(error));
    CHECK_EQ_INT(nsurlsession_error_code(error), 42);
    nsurlsession_release(error);

    const int64_t codes[] = {0, -1, INT64_MIN, INT64_MAX};
    for (size_t index = 0; index < sizeof codes / sizeof codes[0]; index++) {
        error = MAKE("d", codes[index], NULL);
        CHECK_EQ_INT(nsurlsession_error_code(error), codes[index]);
        CHECK_CONTAINS(text_of(nsurlsession_description(error)),
                       test_format("%" PRId64, codes[index]));
        nsurlsession_release(error);
    }
}

TEST(error_needs_a_domain)
{
    const char *name = "nsurlsession_error_with_domain_code_user_info";
    CHECK_MISUSE(name, CHECK(MAKE(NULL, 1, NULL) == NULL));
    CHECK_MISUSE(name, CHECK(MAKE("d\xff", 1, NULL) == NULL));
}

TEST(error_without_user_info)
{
    nsurlsession_error_t *error;
    CHECK_NO_MISUSE(error = MAKE("d", 1, NULL));
    nsurlsession_dictionary_t *info = nsurlsession_error_user_info(error);
    CHECK(info != NULL);
    CHECK_EQ_INT(nsurlsession_dictionary_count(info), 0);
    nsurlsession_release(info);
    nsurlsession_release(error);

    /* What is no dictionary is left out. */
    nsurlsession_string_t *other = nsurlsession_string_with_utf8_string("other");
    CHECK_MISUSE("nsurlsession_error_with_domain_code_user_info",
                 error = MAKE("d", 1, (const void *)other));
    CHECK_EQ_STR(nsurlsession_error_domain(error), "d");
    info = nsurlsession_error_user_info(error);
    CHECK_EQ_INT(nsurlsession_dictionary_count(info), 0);
    nsurlsession_release(info);
    nsurlsession_release(other);
    nsurlsession_release(error);
}

TEST(error_copies_its_user_info)
{
    nsurlsession_dictionary_t *given = nsurlsession_dictionary_new();
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("abc", 3);
    set_text(given, "text", "before");
    nsurlsession_dictionary_set_object_for_key(given, data, "data");
    nsurlsession_error_t *error = MAKE("d", 1, given);
    set_text(given, "text", "after");
    set_text(given, "more", "more");
    nsurlsession_release(given);

    nsurlsession_dictionary_t *info = nsurlsession_error_user_info(error);
    CHECK_EQ_INT(nsurlsession_dictionary_count(info), 2);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(info, 0), "text");
    nsurlsession_data_t *inside = nsurlsession_dictionary_object_for_key(info, "data");
    CHECK(inside == data);
    nsurlsession_release(inside);
    nsurlsession_release(data);

    /* The one that comes out is a copy as well. */
    set_text(info, "text", "changed");
    nsurlsession_release(info);
    CHECK_EQ_STR(info_text(error, "text"), "before");
    CHECK(info_text(error, "more") == NULL);
    nsurlsession_release(error);
}

/* Errors are immutable: a dictionary that lies in the user info is no way in. */
TEST(error_does_not_change_through_its_user_info)
{
    nsurlsession_dictionary_t *given = nsurlsession_dictionary_new();
    set(given, "inner", nsurlsession_dictionary_new());
    nsurlsession_error_t *error = MAKE("d", 1, given);

    nsurlsession_dictionary_t *way_in[] = {given, nsurlsession_error_user_info(error)};
    for (size_t index = 0; index < 2; index++) {
        nsurlsession_dictionary_t *inner =
            nsurlsession_dictionary_object_for_key(way_in[index], "inner");
        set_text(inner, "new", "text");
        nsurlsession_release(inner);
        nsurlsession_release(way_in[index]);
    }

    nsurlsession_dictionary_t *info = nsurlsession_error_user_info(error);
    nsurlsession_dictionary_t *inner = nsurlsession_dictionary_object_for_key(info, "inner");
    CHECK_EQ_INT(nsurlsession_dictionary_count(inner), 0);
    nsurlsession_release(inner);
    nsurlsession_release(info);
    nsurlsession_release(error);
}

/* Nor can an error come to hold itself that way. */
TEST(error_cannot_hold_itself)
{
    nsurlsession_dictionary_t *given = nsurlsession_dictionary_new();
    set(given, "inner", nsurlsession_dictionary_new());
    nsurlsession_error_t *error = MAKE("d", 1, given);
    nsurlsession_dictionary_t *inner = nsurlsession_dictionary_object_for_key(given, "inner");
    nsurlsession_dictionary_set_object_for_key(inner, error, "error");

    nsurlsession_dictionary_t *outer = nsurlsession_dictionary_new();
    CHECK_NO_MISUSE(nsurlsession_dictionary_set_object_for_key(outer, error, "error"));
    CHECK_EQ_INT(nsurlsession_dictionary_count(outer), 1);
    CHECK_CONTAINS(text_of(nsurlsession_description(outer)), "error");
    nsurlsession_release(outer);
    nsurlsession_release(inner);
    nsurlsession_release(given);
    nsurlsession_release(error);
}

TEST(error_sentences_come_from_the_user_info)
{
    nsurlsession_dictionary_t *info = nsurlsession_dictionary_new();
    set_text(info, NSURLSESSION_LOCALIZED_DESCRIPTION_KEY, "What.");
    set_text(info, NSURLSESSION_LOCALIZED_FAILURE_REASON_ERROR_KEY, "Why.");
    set_text(info, NSURLSESSION_LOCALIZED_RECOVERY_SUGGESTION_ERROR_KEY, "What now.");
    /* They win over what is known about a code. */
    nsurlsession_error_t *errors[] = {
        MAKE("d", 1, info), MAKE(NSURLSESSION_ERROR_DOMAIN, NSURLSESSION_ERROR_TIMED_OUT, info)};
    nsurlsession_release(info);
    for (size_t index = 0; index < 2; index++) {
        CHECK_EQ_STR(nsurlsession_error_localized_description(errors[index]), "What.");
        CHECK_EQ_STR(nsurlsession_error_localized_failure_reason(errors[index]), "Why.");
        CHECK_EQ_STR(nsurlsession_error_localized_recovery_suggestion(errors[index]), "What now.");
        CHECK_CONTAINS(text_of(nsurlsession_description(errors[index])), "What.");
        nsurlsession_release(errors[index]);
    }
}

TEST(error_sentences_are_strings)
{
    nsurlsession_dictionary_t *info = nsurlsession_dictionary_new();
    set(info, NSURLSESSION_LOCALIZED_DESCRIPTION_KEY, nsurlsession_data_with_bytes_length("x", 1));
    set(info, NSURLSESSION_LOCALIZED_FAILURE_REASON_ERROR_KEY, nsurlsession_dictionary_new());
    set(info, NSURLSESSION_LOCALIZED_RECOVERY_SUGGESTION_ERROR_KEY, MAKE("x", 1, NULL));
    set_text(info, NSURLSESSION_UNDERLYING_ERROR_KEY, "no error");
    nsurlsession_error_t *error = MAKE("com.example", 17, info);
    nsurlsession_release(info);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "com.example");
    CHECK(nsurlsession_error_localized_failure_reason(error) == NULL);
    CHECK(nsurlsession_error_localized_recovery_suggestion(error) == NULL);
    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(error);
    CHECK_EQ_INT(nsurlsession_array_count(underlying), 0);
    nsurlsession_release(underlying);
    nsurlsession_release(error);
}

TEST(error_of_an_unknown_domain_is_described_by_domain_and_code)
{
    nsurlsession_error_t *error = MAKE("com.example", 1234, NULL);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "com.example");
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "1234");
    CHECK(nsurlsession_error_localized_failure_reason(error) == NULL);
    CHECK(nsurlsession_error_localized_recovery_suggestion(error) == NULL);
    nsurlsession_release(error);

    /* A number of NSURLErrorDomain means nothing in another one. */
    error = MAKE("com.example", NSURLSESSION_ERROR_TIMED_OUT, NULL);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "-1001");
    CHECK(nsurlsession_error_localized_recovery_suggestion(error) == NULL);
    nsurlsession_release(error);

    error = MAKE(NSURLSESSION_ERROR_DOMAIN, -4711, NULL);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "-4711");
    nsurlsession_release(error);
}

TEST(error_of_posix_is_described_by_the_system)
{
    nsurlsession_error_t *error = MAKE(NSURLSESSION_POSIX_ERROR_DOMAIN, ECONNREFUSED, NULL);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), strerror(ECONNREFUSED));
    nsurlsession_release(error);
    error = MAKE(NSURLSESSION_POSIX_ERROR_DOMAIN, INT64_MAX, NULL);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "9223372036854775807");
    nsurlsession_release(error);
}

/* Every code has sentences of its own. NULL: none; "": any. */
struct code {
    const char *name;
    int64_t code, number;
    const char *description, *reason, *suggestion;
};

static const struct code codes[] = {
    {"unknown", NSURLSESSION_ERROR_UNKNOWN, -1, "unknown", NULL, NULL},
    {"background_session_requires_shared_container",
     NSURLSESSION_ERROR_BACKGROUND_SESSION_REQUIRES_SHARED_CONTAINER, -995, "container", NULL, ""},
    {"background_session_in_use_by_another_process",
     NSURLSESSION_ERROR_BACKGROUND_SESSION_IN_USE_BY_ANOTHER_PROCESS, -996, "another process", "",
     ""},
    {"background_session_was_disconnected", NSURLSESSION_ERROR_BACKGROUND_SESSION_WAS_DISCONNECTED,
     -997, "Lost connection", NULL, ""},
    {"cancelled", NSURLSESSION_ERROR_CANCELLED, -999, "cancelled", NULL, NULL},
    {"bad_url", NSURLSESSION_ERROR_BAD_URL, -1000, "URL", NULL, ""},
    {"timed_out", NSURLSESSION_ERROR_TIMED_OUT, -1001, "timed out", NULL, ""},
    {"unsupported_url", NSURLSESSION_ERROR_UNSUPPORTED_URL, -1002, "not supported", "", NULL},
    {"cannot_find_host", NSURLSESSION_ERROR_CANNOT_FIND_HOST, -1003, "hostname", NULL, ""},
    {"cannot_connect_to_host", NSURLSESSION_ERROR_CANNOT_CONNECT_TO_HOST, -1004, "connect", NULL,
     ""},
    {"network_connection_lost", NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST, -1005, "lost", "", ""},
    {"dns_lookup_failed", NSURLSESSION_ERROR_DNS_LOOKUP_FAILED, -1006, "looked up", NULL, ""},
    {"http_too_many_redirects", NSURLSESSION_ERROR_HTTP_TOO_MANY_REDIRECTS, -1007, "redirects", "",
     NULL},
    {"resource_unavailable", NSURLSESSION_ERROR_RESOURCE_UNAVAILABLE, -1008, "unavailable", NULL,
     NULL},
    {"not_connected_to_internet", NSURLSESSION_ERROR_NOT_CONNECTED_TO_INTERNET, -1009, "offline",
     NULL, ""},
    {"redirect_to_non_existent_location", NSURLSESSION_ERROR_REDIRECT_TO_NON_EXISTENT_LOCATION,
     -1010, "does not exist", "", NULL},
    {"bad_server_response", NSURLSESSION_ERROR_BAD_SERVER_RESPONSE, -1011, "bad response", NULL,
     NULL},
    {"user_cancelled_authentication", NSURLSESSION_ERROR_USER_CANCELLED_AUTHENTICATION, -1012,
     "Authentication", NULL, NULL},
    {"user_authentication_required", NSURLSESSION_ERROR_USER_AUTHENTICATION_REQUIRED, -1013,
     "Authentication", NULL, ""},
    {"zero_byte_resource", NSURLSESSION_ERROR_ZERO_BYTE_RESOURCE, -1014, "empty", "", NULL},
    {"cannot_decode_raw_data", NSURLSESSION_ERROR_CANNOT_DECODE_RAW_DATA, -1015, "decoded", "",
     NULL},
    {"cannot_decode_content_data", NSURLSESSION_ERROR_CANNOT_DECODE_CONTENT_DATA, -1016, "decoded",
     "", NULL},
    {"cannot_parse_response", NSURLSESSION_ERROR_CANNOT_PARSE_RESPONSE, -1017, "understood", "",
     ""},
    {"international_roaming_off", NSURLSESSION_ERROR_INTERNATIONAL_ROAMING_OFF, -1018, "roaming",
     NULL, ""},
    {"call_is_active", NSURLSESSION_ERROR_CALL_IS_ACTIVE, -1019, "call", NULL, ""},
    {"data_not_allowed", NSURLSESSION_ERROR_DATA_NOT_ALLOWED, -1020, "not currently allowed", NULL,
     ""},
    {"request_body_stream_exhausted", NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED, -1021,
     "exhausted", "", ""},
    {"app_transport_security_requires_secure_connection",
     NSURLSESSION_ERROR_APP_TRANSPORT_SECURITY_REQUIRES_SECURE_CONNECTION, -1022, "secure", "", ""},
    {"file_does_not_exist", NSURLSESSION_ERROR_FILE_DOES_NOT_EXIST, -1100, "not found", "", ""},
    {"file_is_directory", NSURLSESSION_ERROR_FILE_IS_DIRECTORY, -1101, "directory", NULL, NULL},
    {"no_permissions_to_read_file", NSURLSESSION_ERROR_NO_PERMISSIONS_TO_READ_FILE, -1102,
     "permission", NULL, ""},
    {"data_length_exceeds_maximum", NSURLSESSION_ERROR_DATA_LENGTH_EXCEEDS_MAXIMUM, -1103,
     "maximum", NULL, NULL},
    {"file_outside_safe_area", NSURLSESSION_ERROR_FILE_OUTSIDE_SAFE_AREA, -1104, "outside", NULL,
     NULL},
    {"secure_connection_failed", NSURLSESSION_ERROR_SECURE_CONNECTION_FAILED, -1200, "SSL", NULL,
     ""},
    {"server_certificate_has_bad_date", NSURLSESSION_ERROR_SERVER_CERTIFICATE_HAS_BAD_DATE, -1201,
     "expired", "", ""},
    {"server_certificate_untrusted", NSURLSESSION_ERROR_SERVER_CERTIFICATE_UNTRUSTED, -1202,
     "invalid", "", ""},
    {"server_certificate_has_unknown_root", NSURLSESSION_ERROR_SERVER_CERTIFICATE_HAS_UNKNOWN_ROOT,
     -1203, "unknown", "", ""},
    {"server_certificate_not_yet_valid", NSURLSESSION_ERROR_SERVER_CERTIFICATE_NOT_YET_VALID, -1204,
     "not yet valid", "", ""},
    {"client_certificate_rejected", NSURLSESSION_ERROR_CLIENT_CERTIFICATE_REJECTED, -1205,
     "certificate", "", ""},
    {"client_certificate_required", NSURLSESSION_ERROR_CLIENT_CERTIFICATE_REQUIRED, -1206,
     "certificate", NULL, ""},
    {"cannot_load_from_network", NSURLSESSION_ERROR_CANNOT_LOAD_FROM_NETWORK, -2000, "cache", "",
     NULL},
    {"cannot_create_file", NSURLSESSION_ERROR_CANNOT_CREATE_FILE, -3000, "create", NULL, ""},
    {"cannot_open_file", NSURLSESSION_ERROR_CANNOT_OPEN_FILE, -3001, "open", NULL, ""},
    {"cannot_close_file", NSURLSESSION_ERROR_CANNOT_CLOSE_FILE, -3002, "close", NULL, ""},
    {"cannot_write_to_file", NSURLSESSION_ERROR_CANNOT_WRITE_TO_FILE, -3003, "write", NULL, ""},
    {"cannot_remove_file", NSURLSESSION_ERROR_CANNOT_REMOVE_FILE, -3004, "remove", NULL, ""},
    {"cannot_move_file", NSURLSESSION_ERROR_CANNOT_MOVE_FILE, -3005, "move", NULL, ""},
    {"download_decoding_failed_mid_stream", NSURLSESSION_ERROR_DOWNLOAD_DECODING_FAILED_MID_STREAM,
     -3006, "decoded", "", ""},
    {"download_decoding_failed_to_complete",
     NSURLSESSION_ERROR_DOWNLOAD_DECODING_FAILED_TO_COMPLETE, -3007, "completely", "", ""},
};

static void check_sentence(const char *name, const char *which, const char *actual,
                           const char *expected)
{
    if (!expected != !actual || (actual && (!*actual || !strstr(actual, expected))))
        FAIL("%s of %s is %s, expected %s", which, name, actual ? actual : "NULL",
             expected ? expected : "NULL");
}

TEST(error_codes_have_apples_numbers_and_sentences)
{
    for (size_t index = 0; index < sizeof codes / sizeof codes[0]; index++) {
        const struct code *row = &codes[index];
        if (row->code != row->number)
            FAIL("%s is %" PRId64, row->name, row->code);
        nsurlsession_error_t *error = MAKE(NSURLSESSION_ERROR_DOMAIN, row->code, NULL);
        CHECK_EQ_INT(nsurlsession_error_code(error), row->number);
        check_sentence(row->name, "the description", nsurlsession_error_localized_description(error),
                       row->description);
        check_sentence(row->name, "the failure reason",
                       nsurlsession_error_localized_failure_reason(error), row->reason);
        check_sentence(row->name, "the recovery suggestion",
                       nsurlsession_error_localized_recovery_suggestion(error), row->suggestion);
        nsurlsession_release(error);
    }
}

TEST(error_constants_are_apples)
{
    CHECK_EQ_STR(NSURLSESSION_ERROR_DOMAIN, "NSURLErrorDomain");
    CHECK_EQ_STR(NSURLSESSION_POSIX_ERROR_DOMAIN, "NSPOSIXErrorDomain");
    CHECK_EQ_STR(NSURLSESSION_COCOA_ERROR_DOMAIN, "NSCocoaErrorDomain");
    CHECK_EQ_STR(NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY, "NSErrorFailingURLKey");
    CHECK_EQ_STR(NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY, "NSErrorFailingURLStringKey");
    CHECK_EQ_STR(NSURLSESSION_ERROR_FAILING_URL_STRING_KEY, "NSErrorFailingURLStringKey");
    CHECK_EQ_STR(NSURLSESSION_ERROR_FAILING_URL_PEER_TRUST_ERROR_KEY,
                 "NSURLErrorFailingURLPeerTrustErrorKey");
    CHECK_EQ_STR(NSURLSESSION_ERROR_BACKGROUND_TASK_CANCELLED_REASON_KEY,
                 "NSURLErrorBackgroundTaskCancelledReasonKey");
    CHECK_EQ_STR(NSURLSESSION_ERROR_NETWORK_UNAVAILABLE_REASON_KEY,
                 "NSURLErrorNetworkUnavailableReasonKey");
    CHECK_EQ_STR(NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA, "NSURLSessionDownloadTaskResumeData");
    CHECK_EQ_STR(NSURLSESSION_UPLOAD_TASK_RESUME_DATA, "NSURLSessionUploadTaskResumeData");
    CHECK_EQ_STR(NSURLSESSION_UNDERLYING_ERROR_KEY, "NSUnderlyingError");
    CHECK_EQ_STR(NSURLSESSION_LOCALIZED_DESCRIPTION_KEY, "NSLocalizedDescription");
    CHECK_EQ_STR(NSURLSESSION_LOCALIZED_FAILURE_REASON_ERROR_KEY, "NSLocalizedFailureReason");
    CHECK_EQ_STR(NSURLSESSION_LOCALIZED_RECOVERY_SUGGESTION_ERROR_KEY,
                 "NSLocalizedRecoverySuggestion");
    CHECK_EQ_STR(NSURLSESSION_ERROR_URL_KEY, "NSURL");
}

/* ---- Underlying errors --------------------------------------------------------------------- */

TEST(error_without_underlying_errors)
{
    nsurlsession_error_t *error = MAKE("d", 1, NULL);
    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(error);
    CHECK(underlying != NULL);
    CHECK_EQ_INT(nsurlsession_array_count(underlying), 0);
    nsurlsession_release(underlying);
    nsurlsession_release(error);
}

TEST(error_lists_underlying_errors_nearest_first)
{
    nsurlsession_error_t *bottom = MAKE("bottom", 3, NULL);
    nsurlsession_error_t *middle = error_above("middle", 2, nsurlsession_retain(bottom));
    nsurlsession_error_t *top = error_above("top", 1, nsurlsession_retain(middle));

    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(top);
    CHECK_EQ_INT(nsurlsession_array_count(underlying), 2);
    nsurlsession_error_t *first = nsurlsession_array_object_at_index(underlying, 0);
    nsurlsession_error_t *second = nsurlsession_array_object_at_index(underlying, 1);
    CHECK(first == middle);
    CHECK(second == bottom);
    nsurlsession_release(middle);
    nsurlsession_release(bottom);
    nsurlsession_release(top);
    nsurlsession_release(underlying);

    CHECK_EQ_STR(nsurlsession_error_domain(first), "middle");
    CHECK_EQ_INT(nsurlsession_error_code(second), 3);
    CHECK_CONTAINS(text_of(nsurlsession_description(first)), "bottom");
    nsurlsession_release(first);
    nsurlsession_release(second);
}

/* The chain ends where collections are nested too deeply to be freed safely. */
TEST(error_chains_end)
{
    nsurlsession_error_t *error = MAKE("bottom", 0, NULL);
    for (int code = 1; code < 200; code++)
        error = error_above("chain", code, error);
    CHECK_EQ_INT(nsurlsession_error_code(error), 199);
    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(error);
    CHECK_BETWEEN(nsurlsession_array_count(underlying), 0, 64);
    CHECK_CONTAINS(text_of(nsurlsession_description(error)), "chain 199");
    nsurlsession_release(underlying);
    nsurlsession_release(error);
}

/* ---- Equality ------------------------------------------------------------------------------ */

TEST(error_is_equal_by_domain_code_and_user_info)
{
    nsurlsession_error_t *error = error_with_text("d", 1, "key", "value");
    nsurlsession_error_t *same = error_with_text("d", 1, "key", "value");
    CHECK(nsurlsession_is_equal(error, same));
    CHECK(nsurlsession_hash(error) == nsurlsession_hash(same));
    nsurlsession_error_t *others[] = {
        error_with_text("e", 1, "key", "value"),
        error_with_text("d", 2, "key", "value"),
        error_with_text("d", 1, "key", "another"),
        error_with_text("d", 1, "another", "value"),
        MAKE("d", 1, NULL),
    };
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        CHECK(!nsurlsession_is_equal(error, others[index]));
        CHECK(!nsurlsession_is_equal(others[index], error));
    }
    CHECK(nsurlsession_hash(error) != nsurlsession_hash(others[0]));
    CHECK(nsurlsession_hash(error) != nsurlsession_hash(others[1]));
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++)
        nsurlsession_release(others[index]);
    nsurlsession_release(error);
    nsurlsession_release(same);
}

/* ---- Errors of tasks ----------------------------------------------------------------------- */

/* The error that a task for `request` fails with; takes over the request. */
static nsurlsession_error_t *error_of(nsurlsession_request_t *request, bool cancel)
{
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    struct completion *completion = completion_new();
    nsurlsession_task_t *task = nsurlsession_data_task_with_request_completion_handler(
        session, request, record_completion, completion);
    if (cancel)
        nsurlsession_task_cancel(task);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    CHECK(error != NULL);
    CHECK_EQ_STR(completion->error_domain, NSURLSESSION_ERROR_DOMAIN);
    CHECK_EQ_INT(completion->error_code, nsurlsession_error_code(error));
    CHECK_EQ_STR(nsurlsession_error_domain(error), NSURLSESSION_ERROR_DOMAIN);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(task);
    nsurlsession_release(session);
    nsurlsession_release(request);
    return error;
}

static void check_failing_url(const nsurlsession_error_t *error, const char *url)
{
    CHECK_EQ_STR(info_text(error, NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY), url);
    CHECK_EQ_STR(info_text(error, NSURLSESSION_ERROR_FAILING_URL_STRING_ERROR_KEY), url);
}

TEST(a_refused_connection_names_what_is_below)
{
    const char *url =
        test_format("http://127.0.0.1:%d/path", atoi(control("/closed-port")));
    nsurlsession_error_t *error = error_of(nsurlsession_request_with_url(url), false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_CANNOT_CONNECT_TO_HOST);
    check_failing_url(error, url);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), "connect");
    CHECK(nsurlsession_error_localized_failure_reason(error) != NULL);
    CHECK(nsurlsession_error_localized_recovery_suggestion(error) != NULL);

    nsurlsession_array_t *underlying = nsurlsession_error_underlying_errors(error);
    CHECK_BETWEEN(nsurlsession_array_count(underlying), 1, 2);
    nsurlsession_error_t *nearest = nsurlsession_array_object_at_index(underlying, 0);
    CHECK_EQ_STR(nsurlsession_error_domain(nearest), NSURLSESSION_CURL_ERROR_DOMAIN);
    CHECK_EQ_INT(nsurlsession_error_code(nearest), 7); /* CURLE_COULDNT_CONNECT */
    CHECK(*nsurlsession_error_localized_description(nearest) != '\0');
    nsurlsession_release(nearest);
    nsurlsession_error_t *last = nsurlsession_array_object_at_index(
        underlying, nsurlsession_array_count(underlying) - 1);
    CHECK_EQ_STR(nsurlsession_error_domain(last), NSURLSESSION_POSIX_ERROR_DOMAIN);
    CHECK_EQ_INT(nsurlsession_error_code(last), ECONNREFUSED);
    nsurlsession_release(last);
    nsurlsession_release(underlying);
    CHECK_CONTAINS(text_of(nsurlsession_description(error)), url);
    nsurlsession_release(error);
}

TEST(a_malformed_url_is_named_as_it_was_given)
{
    nsurlsession_error_t *error = error_of(nsurlsession_request_with_url("http://[::1"), false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_BAD_URL);
    check_failing_url(error, "http://[::1");
    nsurlsession_release(error);

    error = error_of(nsurlsession_request_with_url("http://a\xff/"), false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_BAD_URL);
    CHECK_CONTAINS(info_text(error, NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY), "http://a");
    nsurlsession_release(error);
}

TEST(a_url_that_nothing_loads_is_unsupported)
{
    nsurlsession_error_t *error =
        error_of(nsurlsession_request_with_url("gopher://127.0.0.1/x"), false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_UNSUPPORTED_URL);
    check_failing_url(error, "gopher://127.0.0.1/x");
    nsurlsession_release(error);

    error = error_of(nsurlsession_request_new(), false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_UNSUPPORTED_URL);
    CHECK(info_text(error, NSURLSESSION_ERROR_FAILING_URL_ERROR_KEY) == NULL);
    nsurlsession_release(error);
}

TEST(a_cancelled_task_says_so)
{
    const char *url = "http://127.0.0.1:1/";
    nsurlsession_error_t *error = error_of(nsurlsession_request_with_url(url), true);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_CANCELLED);
    CHECK_EQ_STR(nsurlsession_error_localized_description(error), "cancelled");
    check_failing_url(error, url);
    nsurlsession_release(error);
}

/* Which timer it was stands in the user info, too. */
TEST(a_timeout_names_its_timer)
{
    nsurlsession_request_t *request =
        nsurlsession_request_with_url(fault_url("/stall?at=headers"));
    nsurlsession_request_set_timeout_interval(request, 0.2);
    nsurlsession_error_t *error = error_of(request, false);
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_TIMED_OUT);
    CHECK_EQ_STR(info_text(error, NSURLSESSION_ERROR_TIMEOUT_KIND_KEY), "request");
    nsurlsession_release(error);
}
