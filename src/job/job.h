/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the job. */
#ifndef JOB_JOB_H
#define JOB_JOB_H

#include "base/arena.h"
#include "xtransplant/job.h"

typedef struct LayerSet {
  bool has[XT_STORE_LAYERS_MOST];
} LayerSet;

/* Sites and layers that a question still needs: their product is run. No sites: none is missing. */
typedef struct Todo {
  uint32_t sites;  /* bit i: options.sites[i] */
  uint32_t source; /* 1: the source prompt's own response is missing */
  LayerSet sources, targets;
} Todo;

typedef struct JobMean JobMean;

/* The tracked answers of a question, in the job's arena. */
typedef struct TrackedList {
  const xt_tracked *list;
  size_t count;
} TrackedList;
typedef struct JobTracked {
  TrackedList apart, together; /* each token by itself, as the sweep measures them; and with words'
                                  two tokens as one */
  bool keeps_apart;            /* the store that was planned last has the former */
} JobTracked;

_Static_assert(XT_SWEEP_SITES_MOST <= 32, "Todo.sites has a bit for each site");

struct xt_job {
  Arena arena;            /* of the options' copies */
  xt_job_options options; /* with the defaults filled in, but for layers */
  xt_site sites[XT_SWEEP_SITES_MOST];
  const xt_dataset *dataset;
  xt_store_identity identity; /* hash and name only once they are known; no provenance */
  char hash[XT_MODEL_HASH_SIZE];
  int vocab, positions; /* of the model */
  char architecture[64];
  uint64_t parameters;
  double layer_flops, unembed_flops;
  size_t count; /* questions of this shard */
  const xt_question **questions;
  xt_instance *instances;     /* their prompts' ids, owned */
  xt_control_input *controls; /* [count][sites], with ids owned; NULL: none is needed */
  xt_prompt_ids *sources;     /* [count][languages of the dataset], with ids owned; NULL: no site
                                 needs them */
  JobMean *means;
  size_t mean_count, mean_capacity;
  uint64_t prompts, prompts_in_all; /* as xt_job_progress has them */
  JobTracked *tracked;              /* [count]; NULL: nothing is tracked */
  Todo *todo;
  uint32_t *samples_missing;    /* [count] how many */
  Todo all;                     /* every site and layer asked for */
  const xt_question **too_long; /* left out of `questions` */
  size_t too_long_count;
  const xt_store *planned; /* the store that the following members describe; NULL: none */
  /* as xt_job_info has them */
  uint64_t present, to_run, questions_to_run, sources_to_run, samples_to_run;
  int64_t *edited; /* questions of the store that will be replaced by questions of the job */
  size_t edited_count, edited_capacity;
};

static inline bool job_has_work(const xt_job *job) {
  return job->to_run || job->sources_to_run || job->samples_to_run || job->edited_count;
}
void job_warn(const xt_job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
int job_set_size(const LayerSet *set, int layers);
static inline int job_site_count(const Todo *todo) {
  int n = 0;
  for (uint32_t bits = todo->sites; bits; bits &= bits - 1) n++;
  return n;
}

/* The options of a sweep that runs a Todo, with their lists. */
typedef struct Wanted {
  xt_site sites[XT_SWEEP_SITES_MOST];
  int sources[XT_STORE_LAYERS_MOST], targets[XT_STORE_LAYERS_MOST];
  xt_control_input *controls; /* owned */
  xt_sweep_options options;
} Wanted;
/* For questions [at, at + count), which lack the same. The caller frees wanted->controls. */
xt_status job_want(Wanted *wanted, const xt_job *job, size_t at, size_t count, xt_error *error);
/* The number of questions from `at` on that need the same responses. */
size_t job_alike(const xt_job *job, size_t at);
/* A prompt's ids (job_tokens.c). The caller frees them; an error sets none. */
xt_status job_tokenize_text(const xt_job *job, const xt_tokenizer *tokenizer, const char *text,
                            const int32_t **ids, size_t *count, xt_error *error);
/* The ids of those of a question's prompts that *in does not have yet. The caller
 * frees them with job_free_tokens, also after an error. */
xt_status job_tokenize(const xt_job *job, const xt_tokenizer *tokenizer,
                       const xt_question *question, xt_instance *in, xt_error *error);
void job_free_tokens(xt_instance *in); /* zeroes *in */
/* Puts the shard's questions into job->questions, which has room for all, in the dataset's order
 * (job_deal.c), and into job->instances the ids of those prompts that it had to tokenise. */
xt_status job_deal(xt_job *job, const xt_tokenizer *tokenizer, xt_error *error);
/* Puts job->questions and their ids into the order in which they are run (job_order.c). */
xt_status job_order(xt_job *job, xt_error *error);
/* The remaining work, in operations. */
void job_work(const xt_job *job, xt_job_estimate *out);

/* ---- what is written down beside the transplants (job_record.c) ------------------------------ */

/* Records the plan of the job, so that reports can say how much of it is present. */
xt_status job_add_plans(const xt_job *job, xt_store *store, xt_error *error);
/* Finds questions that the store has with a different prompt or answer; they are refused, or put on
 * job->edited to be replaced. */
xt_status job_find_edited(xt_job *job, xt_store *store, xt_error *error);

#endif
