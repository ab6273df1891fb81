#ifndef NSURLSESSION_H
#define NSURLSESSION_H
#include "nsurlsession_base.h"
#ifdef __cplusplus
extern "C" {
#endif
/* every object */
void *nsurlsession_retain(const void *object);           /* returns object */
void nsurlsession_release(const void *object);
void *nsurlsession_copy(const void *object);
bool nsurlsession_is_equal(const void *object, const void *other);
size_t nsurlsession_hash(const void *object);
nsurlsession_string_t *nsurlsession_description(const void *object);
/* data */
nsurlsession_data_t *nsurlsession_data_with_bytes_length(const void *bytes, size_t length);
nsurlsession_data_t *nsurlsession_data_with_bytes_no_copy_length_deallocator(void *bytes, size_t length, nsurlsession_data_deallocator_t deallocator, void *context);
const void *nsurlsession_data_bytes(const nsurlsession_data_t *data);
size_t nsurlsession_data_length(const nsurlsession_data_t *data);
/* string */
nsurlsession_string_t *nsurlsession_string_with_utf8_string(const char *utf8);
const char *nsurlsession_string_utf8_string(const nsurlsession_string_t *string);
/* array */
nsurlsession_array_t *nsurlsession_array_with_objects_count(const void *const *objects, size_t count);
size_t nsurlsession_array_count(const nsurlsession_array_t *array);
void *nsurlsession_array_object_at_index(const nsurlsession_array_t *array, size_t index);  /* owned */
/* dictionary */
nsurlsession_dictionary_t *nsurlsession_dictionary_new(void);
void nsurlsession_dictionary_set_object_for_key(nsurlsession_dictionary_t *dictionary, const void *object, const char *key);
size_t nsurlsession_dictionary_count(const nsurlsession_dictionary_t *dictionary);
void *nsurlsession_dictionary_object_for_key(const nsurlsession_dictionary_t *dictionary, const char *key); /* owned */
const char *nsurlsession_dictionary_key_at_index(const nsurlsession_dictionary_t *dictionary, size_t index);
/* error */
nsurlsession_error_t *nsurlsession_error_with_domain_code_user_info(const char *domain, int64_t code, const nsurlsession_dictionary_t *user_info);
const char *nsurlsession_error_domain(const nsurlsession_error_t *error);
int64_t nsurlsession_error_code(const nsurlsession_error_t *error);
nsurlsession_dictionary_t *nsurlsession_error_user_info(const nsurlsession_error_t *error);
const char *nsurlsession_error_localized_description(const nsurlsession_error_t *error);
const char *nsurlsession_error_localized_failure_reason(const nsurlsession_error_t *error);
const char *nsurlsession_error_localized_recovery_suggestion(const nsurlsession_error_t *error);
nsurlsession_array_t *nsurlsession_error_underlying_errors(const nsurlsession_error_t *error);
/* request */
nsurlsession_request_t *nsurlsession_request_new(void);
nsurlsession_request_t *nsurlsession_request_with_url(const char *url);
nsurlsession_request_t *nsurlsession_request_with_url_cache_policy_timeout_interval(const char *url, int32_t cache_policy, double timeout_interval);
nsurlsession_string_t *nsurlsession_request_url(const nsurlsession_request_t *request); /* owned */
void nsurlsession_request_set_url(nsurlsession_request_t *request, const char *url);
double nsurlsession_request_timeout_interval(const nsurlsession_request_t *request);
void nsurlsession_request_set_timeout_interval(nsurlsession_request_t *request, double seconds);
nsurlsession_string_t *nsurlsession_request_http_method(const nsurlsession_request_t *request); /* owned */
void nsurlsession_request_set_http_method(nsurlsession_request_t *request, const char *method);
nsurlsession_dictionary_t *nsurlsession_request_all_http_header_fields(const nsurlsession_request_t *request);
void nsurlsession_request_set_all_http_header_fields(nsurlsession_request_t *request, const nsurlsession_dictionary_t *fields);
nsurlsession_string_t *nsurlsession_request_value_for_http_header_field(const nsurlsession_request_t *request, const char *field); /* owned */
void nsurlsession_request_set_value_for_http_header_field(nsurlsession_request_t *request, const char *value, const char *field);
void nsurlsession_request_add_value_for_http_header_field(nsurlsession_request_t *request, const char *value, const char *field);
nsurlsession_data_t *nsurlsession_request_http_body(const nsurlsession_request_t *request);
void nsurlsession_request_set_http_body(nsurlsession_request_t *request, const nsurlsession_data_t *body);
/* response (immutable: strings borrowed) */
nsurlsession_response_t *nsurlsession_response_with_url_mime_type_expected_content_length_text_encoding_name(const char *url, const char *mime_type, int64_t expected_content_length, const char *text_encoding_name);
nsurlsession_response_t *nsurlsession_response_with_url_status_code_http_version_header_fields(const char *url, int64_t status_code, const char *http_version, const nsurlsession_dictionary_t *header_fields);
const char *nsurlsession_response_url(const nsurlsession_response_t *response);
const char *nsurlsession_response_mime_type(const nsurlsession_response_t *response);
int64_t nsurlsession_response_expected_content_length(const nsurlsession_response_t *response);
const char *nsurlsession_response_text_encoding_name(const nsurlsession_response_t *response);
const char *nsurlsession_response_suggested_filename(const nsurlsession_response_t *response);
int64_t nsurlsession_response_status_code(const nsurlsession_response_t *response);
nsurlsession_dictionary_t *nsurlsession_response_all_header_fields(const nsurlsession_response_t *response);
const char *nsurlsession_response_value_for_http_header_field(const nsurlsession_response_t *response, const char *field);
const char *nsurlsession_response_localized_string_for_status_code(int64_t status_code);
/* configuration */
nsurlsession_configuration_t *nsurlsession_configuration_default(void);
nsurlsession_configuration_t *nsurlsession_configuration_ephemeral(void);
double nsurlsession_configuration_timeout_interval_for_request(const nsurlsession_configuration_t *configuration);
void nsurlsession_configuration_set_timeout_interval_for_request(nsurlsession_configuration_t *configuration, double seconds);
double nsurlsession_configuration_timeout_interval_for_resource(const nsurlsession_configuration_t *configuration);
void nsurlsession_configuration_set_timeout_interval_for_resource(nsurlsession_configuration_t *configuration, double seconds);
nsurlsession_dictionary_t *nsurlsession_configuration_http_additional_headers(const nsurlsession_configuration_t *configuration);
void nsurlsession_configuration_set_http_additional_headers(nsurlsession_configuration_t *configuration, const nsurlsession_dictionary_t *headers);
int64_t nsurlsession_configuration_http_maximum_connections_per_host(const nsurlsession_configuration_t *configuration);
void nsurlsession_configuration_set_http_maximum_connections_per_host(nsurlsession_configuration_t *configuration, int64_t count);
/* session */
nsurlsession_t *nsurlsession_shared_session(void);
nsurlsession_t *nsurlsession_new(void) NSURLSESSION_DEPRECATED("use nsurlsession_session_with_configuration");
nsurlsession_t *nsurlsession_session_with_configuration(const nsurlsession_configuration_t *configuration);
nsurlsession_t *nsurlsession_session_with_configuration_delegate_delegate_queue(const nsurlsession_configuration_t *configuration, const nsurlsession_delegate_t *delegate, nsurlsession_queue_t *queue);
nsurlsession_queue_t *nsurlsession_delegate_queue(const nsurlsession_t *session);
void *nsurlsession_delegate(const nsurlsession_t *session);  /* the delegate's context */
nsurlsession_configuration_t *nsurlsession_configuration(const nsurlsession_t *session);
nsurlsession_string_t *nsurlsession_session_description(const nsurlsession_t *session); /* owned */
void nsurlsession_set_session_description(nsurlsession_t *session, const char *description);
void nsurlsession_finish_tasks_and_invalidate(nsurlsession_t *session);
void nsurlsession_invalidate_and_cancel(nsurlsession_t *session);
void nsurlsession_get_tasks_with_completion_handler(nsurlsession_t *session, nsurlsession_get_tasks_completion_handler_t handler, void *context);
void nsurlsession_get_all_tasks_with_completion_handler(nsurlsession_t *session, nsurlsession_get_all_tasks_completion_handler_t handler, void *context);
nsurlsession_task_t *nsurlsession_data_task_with_request(nsurlsession_t *session, const nsurlsession_request_t *request);
nsurlsession_task_t *nsurlsession_data_task_with_url(nsurlsession_t *session, const char *url);
nsurlsession_task_t *nsurlsession_data_task_with_request_completion_handler(nsurlsession_t *session, const nsurlsession_request_t *request, nsurlsession_data_task_completion_handler_t handler, void *context);
nsurlsession_task_t *nsurlsession_data_task_with_url_completion_handler(nsurlsession_t *session, const char *url, nsurlsession_data_task_completion_handler_t handler, void *context);
/* task */
nsurlsession_task_kind_t nsurlsession_task_kind(const nsurlsession_task_t *task);
uint64_t nsurlsession_task_identifier(const nsurlsession_task_t *task);
nsurlsession_request_t *nsurlsession_task_original_request(const nsurlsession_task_t *task);
nsurlsession_request_t *nsurlsession_task_current_request(const nsurlsession_task_t *task);
nsurlsession_response_t *nsurlsession_task_response(const nsurlsession_task_t *task);
void *nsurlsession_task_delegate(const nsurlsession_task_t *task); /* the delegate's context */
void nsurlsession_task_set_delegate(nsurlsession_task_t *task, const nsurlsession_delegate_t *delegate);
int64_t nsurlsession_task_count_of_bytes_sent(const nsurlsession_task_t *task);
int64_t nsurlsession_task_count_of_bytes_received(const nsurlsession_task_t *task);
int64_t nsurlsession_task_count_of_bytes_expected_to_send(const nsurlsession_task_t *task);
int64_t nsurlsession_task_count_of_bytes_expected_to_receive(const nsurlsession_task_t *task);
nsurlsession_string_t *nsurlsession_task_description(const nsurlsession_task_t *task); /* owned */
void nsurlsession_task_set_description(nsurlsession_task_t *task, const char *description);
void nsurlsession_task_cancel(nsurlsession_task_t *task);
void nsurlsession_task_suspend(nsurlsession_task_t *task);
void nsurlsession_task_resume(nsurlsession_task_t *task);
nsurlsession_task_state_t nsurlsession_task_state(const nsurlsession_task_t *task);
nsurlsession_error_t *nsurlsession_task_error(const nsurlsession_task_t *task);
/* answers */
void nsurlsession_response_completion_call(nsurlsession_response_completion_t *completion, nsurlsession_response_disposition_t disposition);
void nsurlsession_redirection_completion_call(nsurlsession_redirection_completion_t *completion, const nsurlsession_request_t *request);
/* queue */
nsurlsession_queue_t *nsurlsession_queue_new(void);
nsurlsession_queue_t *nsurlsession_queue_main(void);
nsurlsession_queue_t *nsurlsession_queue_current(void);
nsurlsession_queue_t *nsurlsession_queue_with_executor(const nsurlsession_executor_t *executor);
bool nsurlsession_queue_run(nsurlsession_queue_t *queue);                          /* until stop: true; false: could not run here */
bool nsurlsession_queue_run_until_date(nsurlsession_queue_t *queue, double date);  /* true: stopped; false: date came */
size_t nsurlsession_queue_poll(nsurlsession_queue_t *queue);                       /* operations run */
int nsurlsession_queue_fd(nsurlsession_queue_t *queue);                            /* readable while poll has work; -1 */
void nsurlsession_queue_stop(nsurlsession_queue_t *queue);                         /* sticky: ends the running or the next run */
bool nsurlsession_queue_suspended(const nsurlsession_queue_t *queue);
void nsurlsession_queue_set_suspended(nsurlsession_queue_t *queue, bool suspended);
nsurlsession_string_t *nsurlsession_queue_name(const nsurlsession_queue_t *queue); /* owned */
void nsurlsession_queue_set_name(nsurlsession_queue_t *queue, const char *name);
void nsurlsession_queue_add_operation_with_block(nsurlsession_queue_t *queue, nsurlsession_operation_block_t block, void *context, nsurlsession_release_block_t release);
void nsurlsession_queue_cancel_all_operations(nsurlsession_queue_t *queue);
void nsurlsession_queue_wait_until_all_operations_are_finished(nsurlsession_queue_t *queue);
void nsurlsession_work_run(nsurlsession_work_t *work);
void nsurlsession_work_discard(nsurlsession_work_t *work);
/* library */
uint32_t nsurlsession_version(void);
const char *nsurlsession_version_string(void);
const char *nsurlsession_curl_version(void);
const char *nsurlsession_tls_version(void);
bool nsurlsession_supports_protocol(const char *protocol);   /* "http", "https", "http/1.1", "h2", "h3", ... */
bool nsurlsession_supports_feature(const char *feature);     /* "gzip", "deflate", "br", "zstd", "idn", "ipv6", ... */
void nsurlsession_set_log_handler(nsurlsession_log_handler_t handler, void *context, nsurlsession_release_block_t release);
#ifdef __cplusplus
}
#endif
#endif
