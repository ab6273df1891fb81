/* What nsurl says about the metrics of its tasks. */
#ifndef NSURL_REPORT_H
#define NSURL_REPORT_H

#include <stdio.h>

#include <nsurlsession/nsurlsession.h>

/* Draws the phases of each exchange as bars, `width` columns wide in all. */
void report_timing(FILE *out, nsurlsession_task_metrics_t *metrics, int width);

/* An HTTP Archive 1.2: har_begin, har_add for each task, har_end. False: it could not be written. */
FILE *har_begin(const char *path);
void har_add(FILE *har, nsurlsession_task_metrics_t *metrics);
int har_end(FILE *har);

#endif
