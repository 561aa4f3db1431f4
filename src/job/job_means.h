/* SPDX-License-Identifier: Apache-2.0 */
/* The means that the control `mean` writes: over other questions' source prompts, which are run once
 * for all that need them. */
#ifndef JOB_JOB_MEANS_H
#define JOB_JOB_MEANS_H

#include "base/hash.h"
#include "job/job.h"

#define JOB_MEAN_MOST 32 /* questions that a mean is over */

/* A question that another one's control may take. */
typedef struct Other {
  const xt_question *question;
  uint64_t hash; /* of its source prompt: those with the same one are one question here */
} Other;

/* The mean over questions of one task and pair of languages, under one seed. */
struct JobMean {
  const xt_question *of; /* one of them */
  uint32_t seed;
  Other members[JOB_MEAN_MOST];
  size_t count;
  unsigned taps; /* bit t: of tap t */
  /* by tap: [count + 1][layers][width of the tap], of all but member k, and then of all (before
   * fill_means, of member k); NULL: not measured */
  float *values[XT_TAP_HEADS + 1];
};

/* The first eight bytes of a digest. */
uint64_t job_hash_end(Hash *hash);
/* Of a question's source prompt. */
uint64_t job_source_hash(const xt_question *question);
/* By task and pair of languages. */
int job_compare_parts(const xt_question *a, const xt_question *b);
/* Runs the source prompts whose mean is needed by something that is missing. */
xt_status job_measure_means(xt_job *job, xt_session *session, xt_error *error);
void job_forget_mean(JobMean *mean);

#endif
