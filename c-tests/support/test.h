/*
 * What every C test uses: named tests, checks, deadlines, URLs of the servers, /proc.
 *
 * A test program is one file in c-tests/cases. It holds TEST(name) { ... } bodies and no main:
 * test.c has it. `program --list` prints the names, `program name` runs one test in a process of
 * its own. A failed check prints where and why, what the recorders saw, and ends the process.
 */
#ifndef TEST_H
#define TEST_H

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Tests -------------------------------------------------------------------------------- */

/* How the harness runs a test. */
enum test_kind {
    TEST_KIND_NORMAL,  /* with ASan and UBSan (limit 60 s), and again under valgrind (180 s) */
    TEST_KIND_HEAVY,   /* with ASan and UBSan only (300 s): valgrind would take minutes */
    TEST_KIND_MEASURE, /* plain build, no other test at the same time (300 s): memory, time, CPU */
};

void test_register(const char *name, const char *row, enum test_kind kind,
                   void (*function)(const void *row_data), const void *row_data);

#define TEST_REGISTERED(name, kind)                                                                \
    static void test_##name(void);                                                                 \
    static void run_##name(const void *row)                                                        \
    {                                                                                              \
        (void)row;                                                                                 \
        test_##name();                                                                             \
    }                                                                                              \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        test_register(#name, NULL, kind, run_##name, NULL);                                        \
    }                                                                                              \
    static void test_##name(void)

/* TEST(name) { ... } */
#define TEST(name) TEST_REGISTERED(name, TEST_KIND_NORMAL)
/* TEST_HEAVY(name, "why valgrind is too slow for it") { ... } */
#define TEST_HEAVY(name, reason) TEST_REGISTERED(name, ((void)(reason), TEST_KIND_HEAVY))
/* TEST_MEASURE(name, "what is measured") { ... }: neither sanitizers nor neighbours distort it. */
#define TEST_MEASURE(name, reason) TEST_REGISTERED(name, ((void)(reason), TEST_KIND_MEASURE))

/*
 * TEST_EACH(name, struct row, rows) { ... uses `row` ... }: a test for each row of the array
 * `rows`, called name.ROW after the row's first member, a `const char *`.
 */
#define TEST_EACH(name, type, rows)                                                                \
    static void test_##name(const type *row);                                                      \
    static void run_##name(const void *row)                                                        \
    {                                                                                              \
        test_##name((const type *)row);                                                            \
    }                                                                                              \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        for (size_t row = 0; row < sizeof(rows) / sizeof((rows)[0]); row++)                        \
            test_register(#name, *(const char *const *)(const void *)&(rows)[row],                 \
                          TEST_KIND_NORMAL, run_##name, &(rows)[row]);                             \
    }                                                                                              \
    static void test_##name(const type *row)

/* ---- Checks: usable on any thread; the first failure ends the process --------------------- */

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void test_check_int(const char *file, int line, const char *text, intmax_t actual,
                    intmax_t expected);
void test_check_string(const char *file, int line, const char *text, const char *actual,
                       const char *expected);
void test_check_contains(const char *file, int line, const char *text, const char *actual,
                         const char *part);
void test_check_bytes(const char *file, int line, const char *text, const void *actual,
                      size_t actual_length, const void *expected, size_t expected_length);
void test_check_between(const char *file, int line, const char *text, double actual, double low,
                        double high);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail(__FILE__, __LINE__, "CHECK(%s)", #condition);                                \
    } while (0)
/* Integers of any type, booleans and enums: the actual value first, then what it must be. */
#define CHECK_EQ_INT(actual, expected)                                                             \
    test_check_int(__FILE__, __LINE__, #actual, (intmax_t)(actual), (intmax_t)(expected))
/* Strings; NULL equals NULL only. */
#define CHECK_EQ_STR(actual, expected)                                                             \
    test_check_string(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_CONTAINS(actual, part) test_check_contains(__FILE__, __LINE__, #actual, actual, part)
#define CHECK_EQ_BYTES(actual, actual_length, expected, expected_length)                           \
    test_check_bytes(__FILE__, __LINE__, #actual, actual, actual_length, expected, expected_length)
/* low <= actual <= high, as doubles. */
#define CHECK_BETWEEN(actual, low, high)                                                           \
    test_check_between(__FILE__, __LINE__, #actual, (double)(actual), (double)(low), (double)(high))

/* Called when a test fails or is killed after its time limit: prints what happened so far. */
void test_on_failure(void (*report)(void *context), void *context);

/* ---- Memory that lives until the process ends: nothing that these return is freed ---------- */

void *test_allocate(size_t size); /* zeroed */
char *test_copy(const char *text); /* NULL for NULL */
char *test_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- Time --------------------------------------------------------------------------------- */

double monotonic_seconds(void);
/* Seconds since 1970, as nsurlsession_queue_run_until_date takes. */
double date_now(void);
/* How long a test waits for what must happen before it fails; longer under valgrind. */
double wait_limit(void);
/* `seconds`, stretched where the program runs slower (valgrind): for upper bounds. */
double stretched(double seconds);

/*
 * Waits until `condition` holds, looking every millisecond; past the deadline the test fails. For
 * what has no callback, such as a thread count; where there is a callback, use a latch.
 */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        double eventually_end = monotonic_seconds() + wait_limit();                                \
        while (!(condition)) {                                                                     \
            if (monotonic_seconds() > eventually_end)                                              \
                test_fail(__FILE__, __LINE__, "EVENTUALLY(%s): never", #condition);                \
            test_pause();                                                                          \
        }                                                                                          \
    } while (0)
void test_pause(void);

/* ---- Synchronisation ---------------------------------------------------------------------- */

/* Opens once it was counted down to zero. LATCH(1) initialises one. */
struct latch {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    unsigned count;
};
#define LATCH(n) {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, n}

void latch_init(struct latch *latch, unsigned count);
void latch_count_down(struct latch *latch);
bool latch_is_open(struct latch *latch);
void latch_wait_at(const char *file, int line, const char *name, struct latch *latch);
/* Waits; past the deadline the test fails instead of hanging. */
#define latch_wait(latch) latch_wait_at(__FILE__, __LINE__, #latch, latch)

/* Waits on `condition` until `end` (monotonic_seconds); false: the time is over. */
bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, double end);

/* Runs `function` on a new thread that is joined when the test function has returned. */
pthread_t test_thread(void *(*function)(void *context), void *context);

/* ---- Servers ------------------------------------------------------------------------------ */

/* The value of an environment variable that the harness sets; the test fails without it. */
const char *env_text(const char *name);
/*
 * The base URL in the variable `name` with `path_and_query` ("/x?y") after it.
 *
 * nginx (the paths are in harness/nginx.rs, the files in harness/www.rs): HTTP_URL,
 * HTTP_LOCALHOST_URL, HTTP6_URL; TLS_H2_URL, TLS6_URL (both HTTP/2), TLS_H1_URL; and with
 * certificates that must not be trusted TLS_EXPIRED_URL, TLS_NOT_YET_VALID_URL,
 * TLS_WRONG_HOST_URL, TLS_SELF_SIGNED_URL, TLS_UNKNOWN_ROOT_URL.
 * Apache httpd (the paths are in harness/apache.rs, the files the same): APACHE_URL, and
 * APACHE_TLS_URL with HTTP/2 where it has the module.
 * Fault server (the paths are in fault-server/main.rs): FAULT_URL, FAULT_LOCALHOST_URL, FAULT6_URL;
 * also below /fault/ on every site of nginx, so behind TLS and HTTP/2 (no 1xx pass there).
 * FAULT_SERVER, NGINX: the programs; support/server.h starts others that a test may kill.
 * Files: SSL_CERT_FILE and CA_FILE (the root that is trusted), OTHER_CA_FILE (behind
 * TLS_UNKNOWN_ROOT_URL), WWW_DIR (what nginx serves), NGINX_ACCESS_LOG (connection number, number
 * of the request on it, protocol, method, URI, status), TMPDIR and HOME (the test's own).
 */
const char *env_url(const char *name, const char *path_and_query);
const char *http_url(const char *path_and_query);   /* nginx, HTTP/1.1, 127.0.0.1 */
const char *http6_url(const char *path_and_query);  /* nginx, HTTP/1.1, [::1] */
const char *tls_h2_url(const char *path_and_query); /* nginx, TLS with HTTP/2 */
const char *tls_h1_url(const char *path_and_query); /* nginx, TLS without HTTP/2 */
const char *fault_url(const char *path_and_query);  /* the fault server */

struct http_reply {
    int status;
    char *head;  /* status line and header lines */
    char *body;  /* NUL-terminated besides its length */
    size_t length;
};
/* A blocking GET over a plain socket, without the library. The test fails if there is no reply. */
struct http_reply http_get(const char *url);
/* http_get of the fault server; the test fails unless the status is 200. Returns the body. */
const char *control(const char *path_and_query);

/*
 * Byte `index` of every .bin file that nginx serves, except 1g.bin and 2g.bin, which are all
 * zeros, and of what the fault server's /body sends.
 */
static inline uint8_t pattern_byte(uint64_t index)
{
    return (uint8_t)(index * 31 % 251);
}

/* FNV-1a of 64 bits, as the fault server tells it of bodies: start with FNV_START, add each byte. */
#define FNV_START UINT64_C(0xcbf29ce484222325)
static inline uint64_t fnv_add(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * UINT64_C(0x100000001b3);
}

/* ---- This process ------------------------------------------------------------------------- */

long rss_kib(void);      /* VmRSS */
long peak_rss_kib(void); /* VmHWM */
int thread_count(void);
int open_descriptor_count(void);
bool running_under_valgrind(void);

#endif
