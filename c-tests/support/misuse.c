#include "misuse.h"

#include <nsurlsession/nsurlsession.h>

/* The records since misuse_catch. The lock is free whenever the library runs. */
struct record {
    nsurlsession_log_level_t level;
    char *message;
};

enum { KEPT = 64 };
static struct record records[KEPT];
static unsigned record_count;
static pthread_mutex_t record_mutex = PTHREAD_MUTEX_INITIALIZER;

static void record(void *context, nsurlsession_log_level_t level, const char *target,
                   const char *message)
{
    (void)context;
    if (strcmp(target, "ffi") != 0)
        return;
    struct record new = {level, test_copy(message)};
    pthread_mutex_lock(&record_mutex);
    if (record_count < KEPT)
        records[record_count] = new;
    record_count++;
    pthread_mutex_unlock(&record_mutex);
}

static void install(void)
{
    /* It would change what reaches the handler. */
    unsetenv("NSURLSESSION_LOG");
    nsurlsession_set_log_handler(record, NULL, NULL);
}

void misuse_catch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    pthread_mutex_lock(&record_mutex);
    record_count = 0;
    pthread_mutex_unlock(&record_mutex);
}

unsigned misuse_count(void)
{
    pthread_mutex_lock(&record_mutex);
    unsigned count = record_count;
    pthread_mutex_unlock(&record_mutex);
    return count;
}

void misuse_check_at(const char *file, int line, const char *text, const char *function)
{
    unsigned count = misuse_count();
    if (count == 0)
        test_fail(file, line, "%s\n logged nothing, expected \"%s: ...\"", text, function);
    const char *beginning = test_format("%s: ", function);
    for (unsigned index = 0; index < count && index < KEPT; index++) {
        const struct record *each = &records[index];
        if (strncmp(each->message, beginning, strlen(beginning)) != 0 ||
            each->message[strlen(beginning)] == '\0')
            test_fail(file, line, "%s\n logged \"%s\", expected \"%s...\"", text, each->message,
                      beginning);
        if (each->level != NSURLSESSION_LOG_LEVEL_ERROR)
            test_fail(file, line, "%s\n logged \"%s\" at level %d, expected an error", text,
                      each->message, (int)each->level);
    }
}

void misuse_check_none_at(const char *file, int line, const char *text)
{
    if (misuse_count() > 0)
        test_fail(file, line, "%s\n logged \"%s\", expected nothing", text, records[0].message);
}
