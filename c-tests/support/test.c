#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- Tests -------------------------------------------------------------------------------- */

struct test {
    const char *name;
    enum test_kind kind;
    void (*function)(const void *row_data);
    const void *row_data;
};

static struct test *tests;
static size_t test_count;

void test_register(const char *name, const char *row, enum test_kind kind,
                   void (*function)(const void *row_data), const void *row_data)
{
    tests = realloc(tests, (test_count + 1) * sizeof *tests);
    if (!tests)
        abort();
    tests[test_count++] = (struct test){
        .name = row ? test_format("%s.%s", name, row) : name,
        .kind = kind,
        .function = function,
        .row_data = row_data,
    };
}

/* ---- Failure ------------------------------------------------------------------------------ */

struct reporter {
    void (*report)(void *context);
    void *context;
};

static struct reporter reporters[256];
static size_t reporter_count;
static pthread_mutex_t reporter_mutex = PTHREAD_MUTEX_INITIALIZER;

void test_on_failure(void (*report)(void *context), void *context)
{
    pthread_mutex_lock(&reporter_mutex);
    if (reporter_count < sizeof reporters / sizeof reporters[0])
        reporters[reporter_count++] = (struct reporter){report, context};
    pthread_mutex_unlock(&reporter_mutex);
}

static void report_all(void)
{
    for (size_t index = 0; index < reporter_count; index++)
        reporters[index].report(reporters[index].context);
    fflush(stdout);
    fflush(stderr);
}

/* Only the first of several failing threads reports; the others wait for the end. */
static _Noreturn void fail_now(void)
{
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&once);
    report_all();
    _exit(1);
}

void test_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char message[8192];
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: %s\n", file, line, message);
    fail_now();
}

void test_check_int(const char *file, int line, const char *text, intmax_t actual,
                    intmax_t expected)
{
    if (actual != expected)
        test_fail(file, line, "%s is %" PRIdMAX ", expected %" PRIdMAX, text, actual, expected);
}

static const char *quoted(const char *text)
{
    return text ? test_format("\"%s\"", text) : "NULL";
}

void test_check_string(const char *file, int line, const char *text, const char *actual,
                       const char *expected)
{
    if (actual == expected || (actual && expected && strcmp(actual, expected) == 0))
        return;
    test_fail(file, line, "%s\n       is %s\n expected %s", text, quoted(actual), quoted(expected));
}

void test_check_contains(const char *file, int line, const char *text, const char *actual,
                         const char *part)
{
    if (!actual || !strstr(actual, part))
        test_fail(file, line, "%s\n             is %s\n and lacks the part %s", text,
                  quoted(actual), quoted(part));
}

void test_check_bytes(const char *file, int line, const char *text, const void *actual,
                      size_t actual_length, const void *expected, size_t expected_length)
{
    const uint8_t *left = actual, *right = expected;
    size_t shorter = actual_length < expected_length ? actual_length : expected_length;
    for (size_t index = 0; index < shorter; index++)
        if (left[index] != right[index])
            test_fail(file, line, "%s: byte %zu is 0x%02x, expected 0x%02x (lengths %zu and %zu)",
                      text, index, left[index], right[index], actual_length, expected_length);
    if (actual_length != expected_length)
        test_fail(file, line, "%s is %zu bytes long, expected %zu", text, actual_length,
                  expected_length);
}

void test_check_between(const char *file, int line, const char *text, double actual, double low,
                        double high)
{
    if (!(actual >= low && actual <= high))
        test_fail(file, line, "%s is %g, expected %g to %g", text, actual, low, high);
}

/* ---- Memory ------------------------------------------------------------------------------- */

/* A list from a global, so that the leak checkers count these blocks as reachable. */
struct block {
    struct block *next;
    max_align_t bytes[];
};

static struct block *blocks;
static pthread_mutex_t block_mutex = PTHREAD_MUTEX_INITIALIZER;

void *test_allocate(size_t size)
{
    struct block *block = calloc(1, sizeof *block + size);
    if (!block)
        abort();
    pthread_mutex_lock(&block_mutex);
    block->next = blocks;
    blocks = block;
    pthread_mutex_unlock(&block_mutex);
    return block->bytes;
}

char *test_copy(const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    return memcpy(test_allocate(size), text, size);
}

char *test_format(const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    char *text = test_allocate((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

/* ---- Time --------------------------------------------------------------------------------- */

static double clock_seconds(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

double monotonic_seconds(void)
{
    return clock_seconds(CLOCK_MONOTONIC);
}

double date_now(void)
{
    return clock_seconds(CLOCK_REALTIME);
}

double stretched(double seconds)
{
    const char *factor = getenv("TEST_TIME_FACTOR");
    return seconds * (factor ? atof(factor) : 1);
}

double wait_limit(void)
{
    return stretched(25);
}

void test_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* ---- Synchronisation ---------------------------------------------------------------------- */

void latch_init(struct latch *latch, unsigned count)
{
    *latch = (struct latch)LATCH(count);
}

void latch_count_down(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    if (latch->count > 0 && --latch->count == 0)
        pthread_cond_broadcast(&latch->condition);
    pthread_mutex_unlock(&latch->mutex);
}

bool latch_is_open(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    bool open = latch->count == 0;
    pthread_mutex_unlock(&latch->mutex);
    return open;
}

bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *mutex, double end)
{
    struct timespec time = {.tv_sec = (time_t)end};
    time.tv_nsec = (long)((end - (double)time.tv_sec) * 1e9);
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &time) != ETIMEDOUT;
}

void latch_wait_at(const char *file, int line, const char *name, struct latch *latch)
{
    double end = monotonic_seconds() + wait_limit();
    pthread_mutex_lock(&latch->mutex);
    while (latch->count > 0)
        if (!condition_wait_until(&latch->condition, &latch->mutex, end) && latch->count > 0) {
            unsigned left = latch->count;
            pthread_mutex_unlock(&latch->mutex);
            test_fail(file, line, "latch_wait(%s): still %u to come after %.0f s", name, left,
                      wait_limit());
        }
    pthread_mutex_unlock(&latch->mutex);
}

struct thread {
    struct thread *next;
    pthread_t thread;
};

static struct thread *threads;
static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;

pthread_t test_thread(void *(*function)(void *context), void *context)
{
    struct thread *thread = test_allocate(sizeof *thread);
    if (pthread_create(&thread->thread, NULL, function, context) != 0)
        FAIL("pthread_create");
    pthread_mutex_lock(&thread_mutex);
    thread->next = threads;
    threads = thread;
    pthread_mutex_unlock(&thread_mutex);
    return thread->thread;
}

static void join_threads(void)
{
    for (;;) {
        pthread_mutex_lock(&thread_mutex);
        struct thread *thread = threads;
        if (thread)
            threads = thread->next;
        pthread_mutex_unlock(&thread_mutex);
        if (!thread)
            return;
        pthread_join(thread->thread, NULL);
    }
}

/* ---- Servers ------------------------------------------------------------------------------ */

const char *env_text(const char *name)
{
    const char *value = getenv(name);
    if (!value)
        FAIL("the environment lacks %s: run this through c-tests/run", name);
    return value;
}

const char *env_url(const char *name, const char *path_and_query)
{
    return test_format("%s%s", env_text(name), path_and_query);
}

const char *http_url(const char *path_and_query)
{
    return env_url("HTTP_URL", path_and_query);
}

const char *http6_url(const char *path_and_query)
{
    return env_url("HTTP6_URL", path_and_query);
}

const char *tls_h2_url(const char *path_and_query)
{
    return env_url("TLS_H2_URL", path_and_query);
}

const char *tls_h1_url(const char *path_and_query)
{
    return env_url("TLS_H1_URL", path_and_query);
}

const char *fault_url(const char *path_and_query)
{
    return env_url("FAULT_URL", path_and_query);
}

/* Splits http://HOST:PORT/PATH or http://[HOST]:PORT/PATH and connects. */
static int connect_to(const char *url, const char **path, char **authority)
{
    if (strncmp(url, "http://", 7) != 0)
        FAIL("http_get: not a plain URL: %s", url);
    const char *start = url + 7;
    const char *slash = start + strcspn(start, "/?");
    *path = *slash ? slash : "/";
    *authority = test_format("%.*s", (int)(slash - start), start);

    char *host = test_copy(*authority);
    char *port = strrchr(host, ':');
    if (!port)
        FAIL("http_get: no port in %s", url);
    *port++ = '\0';
    if (host[0] == '[') {
        host++;
        host[strcspn(host, "]")] = '\0';
    }

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int failure = getaddrinfo(host, port, &hints, &found);
    if (failure != 0)
        FAIL("http_get: %s: %s", url, gai_strerror(failure));
    int result = -1;
    for (struct addrinfo *each = found; each && result < 0; each = each->ai_next) {
        int descriptor = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0);
        if (connect(descriptor, each->ai_addr, each->ai_addrlen) == 0)
            result = descriptor;
        else
            close(descriptor);
    }
    freeaddrinfo(found);
    if (result < 0)
        FAIL("http_get: cannot connect: %s: %s", url, strerror(errno));
    struct timeval limit = {.tv_sec = (time_t)wait_limit()};
    setsockopt(result, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return result;
}

struct http_reply http_get(const char *url)
{
    const char *path;
    char *authority;
    int descriptor = connect_to(url, &path, &authority);
    const char *request = test_format("GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                                      path[0] == '?' ? "/" : "", path, authority);
    for (size_t sent = 0, length = strlen(request); sent < length;) {
        ssize_t count = send(descriptor, request + sent, length - sent, MSG_NOSIGNAL);
        if (count <= 0)
            FAIL("http_get: cannot send: %s: %s", url, strerror(errno));
        sent += (size_t)count;
    }

    char *received = NULL;
    size_t length = 0, capacity = 0;
    for (;;) {
        if (capacity - length < 2) {
            capacity = capacity ? capacity * 2 : 65536;
            received = realloc(received, capacity);
            if (!received)
                abort();
        }
        ssize_t count = recv(descriptor, received + length, capacity - length - 1, 0);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            FAIL("http_get: cannot receive: %s: %s", url, strerror(errno));
        if (count == 0)
            break;
        length += (size_t)count;
    }
    close(descriptor);
    received[length] = '\0';

    char *end = strstr(received, "\r\n\r\n");
    struct http_reply reply = {0};
    if (!end || sscanf(received, "HTTP/%*d.%*d %d", &reply.status) != 1)
        FAIL("http_get: no HTTP reply from %s: %.200s", url, received);
    reply.head = test_format("%.*s", (int)(end - received), received);
    if (strcasestr(reply.head, "\r\ntransfer-encoding:"))
        FAIL("http_get: cannot decode the reply of %s:\n%s", url, reply.head);
    reply.length = length - (size_t)(end + 4 - received);
    reply.body = test_allocate(reply.length + 1);
    memcpy(reply.body, end + 4, reply.length);
    free(received);
    return reply;
}

const char *control(const char *path_and_query)
{
    const char *url = fault_url(path_and_query);
    struct http_reply reply = http_get(url);
    if (reply.status != 200)
        FAIL("%s answered %d: %s", url, reply.status, reply.body);
    return reply.body;
}

/* ---- This process ------------------------------------------------------------------------- */

static long status_value(const char *name)
{
    FILE *file = fopen("/proc/self/status", "re");
    if (!file)
        FAIL("/proc/self/status: %s", strerror(errno));
    long value = -1;
    char line[256];
    while (value < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name), NULL, 10);
    fclose(file);
    if (value < 0)
        FAIL("/proc/self/status lacks %s", name);
    return value;
}

long rss_kib(void)
{
    return status_value("VmRSS:");
}

long peak_rss_kib(void)
{
    return status_value("VmHWM:");
}

int thread_count(void)
{
    return (int)status_value("Threads:");
}

int open_descriptor_count(void)
{
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        FAIL("/proc/self/fd: %s", strerror(errno));
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1; /* the directory's own */
}

bool running_under_valgrind(void)
{
    const char *name = getenv("TEST_RUNNER");
    return name && strcmp(name, "memcheck") == 0;
}

/* ---- main --------------------------------------------------------------------------------- */

static struct sigaction previous_abort;

/* The harness sends SIGABRT past the time limit: tell what happened, then die of it as before. */
static void aborted(int signal_number)
{
    (void)signal_number;
    static const char message[] = "SIGABRT: a failed assertion, or past the time limit\n";
    (void)!write(STDERR_FILENO, message, sizeof message - 1);
    report_all();
    sigaction(SIGABRT, &previous_abort, NULL);
    raise(SIGABRT);
}

int main(int argument_count, char **arguments)
{
    static const char *const kinds[] = {"normal", "heavy", "measure"};

    if (argument_count == 2 && strcmp(arguments[1], "--list") == 0) {
        for (size_t index = 0; index < test_count; index++)
            printf("%s %s\n", kinds[tests[index].kind], tests[index].name);
        return 0;
    }
    if (argument_count != 2) {
        fprintf(stderr, "usage: %s --list | NAME\n", arguments[0]);
        return 2;
    }
    for (size_t index = 0; index < test_count; index++)
        if (strcmp(tests[index].name, arguments[1]) == 0) {
            struct sigaction action = {.sa_handler = aborted};
            sigaction(SIGABRT, &action, &previous_abort);
            setvbuf(stdout, NULL, _IOLBF, 0);
            tests[index].function(tests[index].row_data);
            join_threads();
            return 0;
        }
    fprintf(stderr, "no test is called %s\n", arguments[1]);
    return 2;
}
