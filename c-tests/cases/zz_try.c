#include "load.h"
struct r { struct latch l; };
static void h(void *c, nsurlsession_data_t *d, nsurlsession_response_t *r, nsurlsession_error_t *e)
{
    (void)d;
    nsurlsession_string_t *s = e ? nsurlsession_description(e) : NULL;
    printf("  status %d body %ld %s %s\n", (int)nsurlsession_response_status_code(r), d ? (long)nsurlsession_data_length(d) : -1, s ? nsurlsession_string_utf8_string(s) : "ok", e?nsurlsession_error_localized_failure_reason(e):"");
    nsurlsession_release(s);
    latch_count_down(c);
}
static void go(const char *u)
{
    nsurlsession_t *s = session_for(NULL);
    struct latch *l = test_allocate(sizeof *l); latch_init(l, 1);
    nsurlsession_task_t *t = nsurlsession_data_task_with_url_completion_handler(s, u, h, l);
    nsurlsession_task_resume(t); latch_wait(l); nsurlsession_release(t); session_end(s);
}
TEST(cuts)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nX-Field: value\r\nContent-Length: 5\r\n\r\nhello";
    for (size_t n = 0; n <= strlen(response); n++) { printf("%zu", n); go(fault_url(test_format("/raw?bytes=%s", escaped_bytes(response, n)))); }
}
TEST(chunks)
{
    static const char response[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n";
    for (size_t n = 40; n <= strlen(response); n++) { printf("%zu", n); go(fault_url(test_format("/raw?bytes=%s", escaped_bytes(response, n)))); }
}
TEST(misc)
{
    for (int i=0;i<6;i++) go(local_url("https","127.0.0.1",atoi(control("/reset-port")),"/x"));
    go(fault_url("/headers?count=2000&size=1000"));
    go(fault_url("/headers?count=1&size=1m"));
    go(fault_url("/headers?count=1&size=200k"));
    go(fault_url("/headers?count=1000&size=10"));
    go(fault_url("/headers?count=5001&size=1"));
    go(env_url("TLS_WRONG_HOST_URL","/x"));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 20 OK\r\n\r\n"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 2000 OK\r\n\r\n"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 099 OK\r\n\r\n"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 600 OK\r\n\r\n"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\nabc"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 200 OK\r\nTransfer-Encoding: foo\r\n\r\nabc"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc"))));
    go(fault_url(test_format("/raw?bytes=%s",escaped("HTTP/1.1 103 Early\r\nX: 1\r\n\r\n"))));
}
