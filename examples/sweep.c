/* SPDX-License-Identifier: Apache-2.0 */
/* Sweeps a benchmark into a results file: sweep MODEL TASK DATA-FOLDER LANGUAGE RESULTS
 *
 * Every source layer into every target layer, at the paper's site. Ctrl-C stops it after the token
 * under way; the same command continues from there. */
#include <signal.h>
#include <stdio.h>

#include "xtransplant/xt.h"

static volatile sig_atomic_t asked;
static void ask(int number) { asked = number; }
static bool wants_stop(void *user) { return (void)user, asked != 0; }
static void show(void *user, const xt_job_progress *p) {
  fprintf((FILE *)user, "\r%5.1f%% ", 100 * p->share);
}
static void warn(void *user, const char *message) { fprintf((FILE *)user, "%s\n", message); }

int main(int argc, char **argv) {
  xt_error error = {0};
  xt_model *model = NULL;
  xt_session *session = NULL;
  xt_dataset *dataset = NULL;
  xt_store *store = NULL;
  xt_job *job = NULL;
  xt_job_result result = {0};
  const xt_task *task = argc == 6 ? xt_task_find(argv[2]) : NULL;
  if (!task) return fprintf(stderr, "usage: sweep MODEL TASK DATA-FOLDER LANGUAGE RESULTS\n"), 2;
  const xt_dataset_options questions = {.languages = (const char *const[]){argv[4]},
                                        .language_count = 1};
  const xt_job_options options = {
      .name = argv[3], .warn = warn, .progress = show, .cancel = wants_stop, .user = stderr};
  signal(SIGINT, ask);
  xt_status status = xt_dataset_open(task, argv[3], &questions, &dataset, &error);
  if (!status) status = xt_model_open(argv[1], NULL, &model, &error);
  if (!status) status = xt_session_create(model, &session, &error);
  if (!status) status = xt_job_create(model, dataset, &options, &job, &error);
  if (!status) status = xt_store_open(argv[5], XT_STORE_WRITE, &store, &error);
  if (!status) status = xt_job_run(job, session, store, &result, &error);
  fprintf(stderr, "\r%llu responses in %.1f s\n", (unsigned long long)result.responses,
          result.seconds);
  char line[1400];
  if (status) fprintf(stderr, "sweep: %s\n", xt_error_format(&error, line, sizeof line));
  xt_store_close(store);
  xt_job_free(job);
  xt_session_free(session);
  xt_model_close(model);
  xt_dataset_close(dataset);
  return status == XT_STATUS_CANCELLED ? 130 : status != XT_STATUS_OK;
}
