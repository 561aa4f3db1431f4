/* SPDX-License-Identifier: Apache-2.0 */
/* What the runs write whose options are scored: values of prompts, and those that a job has for
 * them (controls, several languages, vectors, plans). They have the bits that a sweep writes. */
#ifndef ANALYSIS_OPTION_VALUES_H
#define ANALYSIS_OPTION_VALUES_H

#include "engine/session.h"
#include "job/job.h"

typedef struct OptionRun {
  xt_site site;
  bool untouched;
  int source, target;
  bool of_job;     /* its site is the job's */
  size_t job_site; /* its number there */
} OptionRun;

typedef struct OptionIds {
  int32_t *ids;
  size_t count;
} OptionIds;

/* What one site of a job writes for the question. */
typedef struct OptionMade {
  float *values[XT_TAP_HEADS + 1]; /* by tap: [layers][width of the tap]; NULL: of a prompt */
  float *vectors; /* of a plan's random ones: [writes][layers][width]; NULL: none */
  xt_taps *taps;  /* of another prompt; NULL: none */
} OptionMade;

/* Of one question. */
typedef struct OptionValues {
  xt_session *session;
  const xt_job *job;        /* NULL: no run needs it */
  size_t question;          /* of the job */
  OptionIds source, target; /* the prompts, owned */
  xt_taps *taps, *own;      /* of the source prompt, which the caller may have read, and of the
                               target; owned. NULL: not needed yet */
  OptionMade made[XT_SWEEP_SITES_MOST];
} OptionValues;

/* Whether a run of the site needs nothing but the question's own prompts. */
bool option_site_is_plain(const xt_site *site);

/* Whether a run reads the taps of the question's source prompt and nothing else. */
static inline bool option_values_read_source(const OptionRun *run) {
  return !run->untouched && !run->of_job && run->site.control != XT_CONTROL_SELF;
}
/* Captures what a run reads, unless that was done. */
xt_status option_values_prepare(OptionValues *values, const OptionRun *run, xt_error *error);
/* The interventions of a run that was prepared, in order, into `list`; NULL: they are counted.
 * Returns how many. */
size_t option_values_list(const OptionValues *values, const OptionRun *run, xt_intervention *list);
void option_values_deinit(OptionValues *values);

#endif
