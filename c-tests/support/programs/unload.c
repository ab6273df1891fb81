/*
 * Loads the library at run time, unloads it while it works, and loads it again.
 *
 * Compiled and run by cases/process.c, which is itself linked with the library and cannot do that:
 *
 *     unload LIBRARY URL in-flight|after ROUNDS
 *
 * URL is answered after a while, or never, with in-flight, and with "Hello, world!\n" with after.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nsurlsession/nsurlsession.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int calls;
static long long last_error;
static size_t last_length;

static void *library;

#define FAIL(...)                                                                                  \
    do {                                                                                           \
        fprintf(stderr, "unload: " __VA_ARGS__);                                                   \
        fputc('\n', stderr);                                                                       \
        exit(1);                                                                                   \
    } while (0)

static void *find(const char *name)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        FAIL("%s", dlerror());
    return symbol;
}

/* Declares `name` as a pointer to the function of that name. */
#define FIND(name)                                                                                 \
    __typeof__(nsurlsession_##name) *name;                                                         \
    *(void **)&name = find("nsurlsession_" #name)

static void load(const char *path)
{
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        FAIL("%s", dlerror());
}

static void unload(void)
{
    if (dlclose(library) != 0)
        FAIL("%s", dlerror());
}

static void handler(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                    nsurlsession_error_t *error)
{
    (void)context;
    (void)response;
    FIND(error_code);
    FIND(data_length);
    pthread_mutex_lock(&mutex);
    calls++;
    last_error = error_code(error);
    last_length = data_length(data);
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_for_calls(int count)
{
    pthread_mutex_lock(&mutex);
    while (calls < count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* Starts a task; what is returned belongs to the caller. */
static nsurlsession_t *start(const char *url, nsurlsession_task_t **task)
{
    FIND(session_with_configuration);
    FIND(data_task_with_url_completion_handler);
    FIND(task_resume);
    nsurlsession_t *session = session_with_configuration(NULL);
    *task = data_task_with_url_completion_handler(session, url, handler, NULL);
    task_resume(*task);
    return session;
}

int main(int count, char **arguments)
{
    if (count != 5)
        FAIL("usage: unload LIBRARY URL in-flight|after ROUNDS");
    int in_flight = strcmp(arguments[3], "in-flight") == 0;
    for (int round = 1; round <= atoi(arguments[4]); round++) {
        nsurlsession_task_t *task;
        load(arguments[1]);
        nsurlsession_t *session = start(arguments[2], &task);
        if (!in_flight)
            wait_for_calls(round);
        unload();
        /* Its threads are still there, and the handles are valid in what is loaded now. */
        load(arguments[1]);
        FIND(task_cancel);
        FIND(release);
        FIND(version);
        if (version() != NSURLSESSION_VERSION_NUMBER)
            FAIL("another version: %x", (unsigned)version());
        task_cancel(task);
        wait_for_calls(round);
        if (in_flight && last_error != NSURLSESSION_ERROR_CANCELLED)
            FAIL("round %d: error %lld", round, last_error);
        if (!in_flight && (last_error != 0 || last_length != 14))
            FAIL("round %d: error %lld, %zu bytes", round, last_error, last_length);
        release(task);
        release(session);
        unload();
    }
    /* The last one is in flight when the process ends. */
    nsurlsession_task_t *task;
    load(arguments[1]);
    start(arguments[2], &task);
    unload();
    return 0;
}
