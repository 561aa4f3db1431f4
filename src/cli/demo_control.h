/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's control: the same transplant with the source prompt of another question. */
#ifndef CLI_DEMO_CONTROL_H
#define CLI_DEMO_CONTROL_H

#include "sweep_job.h"

/* Writes the job's questions to `path` as pairs, each with the source prompt of another one: the
 * next of the same language and kind (the words after the source's last comma) that has another
 * answer; where there is none, of the same language. `count`: of the lines that are written; with
 * one question a language, none. */
xt_status control_write(const SweepJob *job, const char *path, size_t *count, xt_error *error);

#endif
