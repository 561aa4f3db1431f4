/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's control: the same transplant with the source prompt of another question. */
#ifndef CLI_VERBS_DEMO_CONTROL_H
#define CLI_VERBS_DEMO_CONTROL_H

#include "verbs/sweep_job.h"

/* Writes the job's questions to `path` as pairs, each with the source prompt of another one: the
 * next one of the same language and kind (the words after the source's last comma) that has a
 * different answer; if there is none, of the same language. `count`: number of written lines, which
 * is 0 if there is one question per language. */
xt_status control_write(const SweepJob *job, const char *path, size_t *count, xt_error *error);

#endif
