/*
 * Download tasks: the file, its life, what the delegate hears, and what goes wrong with files.
 */
#include "load.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WITH_ALL                                                                                   \
    (1u << CALLBACK_WRITTEN | 1u << CALLBACK_RESUMED | 1u << CALLBACK_DOWNLOADED |                 \
     1u << CALLBACK_BECAME_DOWNLOAD)

/* How many files of downloads are in the temporary directory. */
static unsigned files_left(void)
{
    unsigned count = 0;
    DIR *directory = opendir(env_text("TMPDIR"));
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strncmp(entry->d_name, "nsurlsession-", 13) == 0;
    closedir(directory);
    return count;
}

static struct recorder *download_recorder(void)
{
    struct recorder *recorder = recorder_new();
    recorder->with = WITH_ALL;
    return recorder;
}

/* Downloads `url` with a delegate, to its end. */
static void download(struct recorder *recorder, const char *url)
{
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task = nsurlsession_download_task_with_url(session, url);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_release(task);
    session_end(session);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

struct row {
    const char *name, *path, *log;
    uint64_t size;
};
static const struct row rows[] = {
    {"announced", "/body?size=100000",
     "create, written 100000/100000, downloaded 100000, complete nil", 100000},
    {"chunked", "/body?size=100000&chunked=1",
     "create, written 100000/-1, downloaded 100000, complete nil", 100000},
    {"empty", "/body?size=0", "create, downloaded 0, complete nil", 0},
    {"decoded", "/encoded?coding=gzip&size=70000",
     "create, written 70000/-1, downloaded 70000, complete nil", 70000},
    {"large", "/body?size=20m", "create, written 20971520/20971520, downloaded 20971520, complete nil",
     20971520},
};

TEST_EACH(a_body_becomes_a_file, struct row, rows)
{
    struct recorder *recorder = download_recorder();
    download(recorder, fault_url(row->path));
    CHECK_LOG(recorder, test_format("%s, invalid nil, release", row->log));
    CHECK_EQ_INT(recorder->received, row->size);
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(files_left(), 0);
}

TEST(an_error_status_has_a_file_too)
{
    struct recorder *recorder = download_recorder();
    download(recorder, fault_url("/status?code=404&body=nothing%20here"));
    CHECK_LOG(recorder,
              "create, written 12/12, downloaded 12, complete nil, invalid nil, release");
    CHECK_EQ_STR(recorder_text(recorder), "nothing here");
}

TEST(a_file_that_is_moved_stays)
{
    struct recorder *recorder = download_recorder();
    recorder->keep_as = test_format("%s/kept", env_text("TMPDIR"));
    download(recorder, fault_url("/body?size=5000"));
    struct stat status;
    CHECK_EQ_INT(stat(recorder->keep_as, &status), 0);
    CHECK_EQ_INT(status.st_size, 5000);
    CHECK_EQ_INT(status.st_mode & 0777, 0600);
    CHECK_EQ_INT(files_left(), 0);
}

/* ---- The completion handler ---------------------------------------------------------------- */

struct handled {
    struct latch done;
    const char *url, *path;
    int64_t status, error_code, size;
    bool existed, has_resume_data;
    nsurlsession_data_t *resume_data;
};

static void handle_download(void *context, const char *location, nsurlsession_response_t *response,
                            nsurlsession_error_t *error)
{
    struct handled *handled = context;
    handled->url = test_copy(location);
    handled->status = nsurlsession_response_status_code(response);
    handled->error_code = error ? nsurlsession_error_code(error) : 0;
    CHECK((location == NULL) == (error != NULL));
    if (location) {
        struct stat status = {0};
        handled->path = text_of(nsurlsession_url_path(location));
        handled->existed = stat(handled->path, &status) == 0;
        handled->size = status.st_size;
    }
    if (error) {
        nsurlsession_dictionary_t *info = nsurlsession_error_user_info(error);
        handled->resume_data =
            nsurlsession_dictionary_object_for_key(info, NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA);
        nsurlsession_release(info);
    }
    latch_count_down(&handled->done);
}

static struct handled *handled_new(void)
{
    struct handled *handled = test_allocate(sizeof *handled);
    latch_init(&handled->done, 1);
    return handled;
}

TEST(a_handler_gets_the_file_for_the_length_of_its_call)
{
    struct recorder *recorder = download_recorder();
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    struct handled *handled = handled_new();
    nsurlsession_task_t *task = nsurlsession_download_task_with_url_completion_handler(
        session, fault_url("/body?size=1234"), handle_download, handled);
    CHECK_EQ_INT(nsurlsession_task_kind(task), NSURLSESSION_TASK_KIND_DOWNLOAD);
    nsurlsession_task_resume(task);
    latch_wait(&handled->done);
    session_end(session);
    nsurlsession_release(session);
    nsurlsession_release(task);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    CHECK_LOG(recorder, "create, invalid nil, release");
    CHECK_EQ_INT(handled->status, 200);
    CHECK_EQ_INT(handled->size, 1234);
    CHECK_CONTAINS(handled->url, "file:///");
    CHECK(handled->existed);
    CHECK(access(handled->path, F_OK) != 0);
}
