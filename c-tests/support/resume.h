/*
 * What tests of downloads and of resumed transfers share.
 */
#ifndef RESUME_H
#define RESUME_H

#include "load.h"

/* How many files of downloads are in the temporary directory. `path`, if not NULL: one of them. */
unsigned files_left(const char **path);
/* The resume data of a download in an error; NULL if there are none. The caller releases them. */
nsurlsession_data_t *resume_data_in(const nsurlsession_error_t *error);
/* The resume data in the error of a download or an upload; NULL as above. */
nsurlsession_data_t *resume_data_of(nsurlsession_task_t *task);
/*
 * Runs the recorder's task to its end, releases it and ends its session. Returns the resume data in
 * its error, which the caller releases.
 */
nsurlsession_data_t *finish(struct recorder *recorder, nsurlsession_t *session,
                            nsurlsession_task_t *task);

#endif
