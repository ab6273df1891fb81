#include "resume.h"

#include <dirent.h>
#include <string.h>

unsigned files_left(const char **path)
{
    unsigned count = 0;
    DIR *directory = opendir(env_text("TMPDIR"));
    CHECK(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strncmp(entry->d_name, "nsurlsession-", 13) == 0) {
            count++;
            if (path)
                *path = test_format("%s/%s", env_text("TMPDIR"), entry->d_name);
        }
    closedir(directory);
    return count;
}

static nsurlsession_data_t *data_at(const nsurlsession_error_t *error, const char *key)
{
    nsurlsession_dictionary_t *info = error ? nsurlsession_error_user_info(error) : NULL;
    nsurlsession_data_t *data = info ? nsurlsession_dictionary_object_for_key(info, key) : NULL;
    nsurlsession_release(info);
    return data;
}

nsurlsession_data_t *resume_data_in(const nsurlsession_error_t *error)
{
    return data_at(error, NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA);
}

nsurlsession_data_t *resume_data_of(nsurlsession_task_t *task)
{
    bool upload = nsurlsession_task_kind(task) == NSURLSESSION_TASK_KIND_UPLOAD;
    nsurlsession_error_t *error = nsurlsession_task_error(task);
    nsurlsession_data_t *data = data_at(error, upload ? NSURLSESSION_UPLOAD_TASK_RESUME_DATA
                                                      : NSURLSESSION_DOWNLOAD_TASK_RESUME_DATA);
    nsurlsession_release(error);
    return data;
}

nsurlsession_data_t *finish(struct recorder *recorder, nsurlsession_t *session,
                            nsurlsession_task_t *task)
{
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    nsurlsession_data_t *data = resume_data_of(task);
    nsurlsession_release(task);
    session_end(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
    return data;
}
