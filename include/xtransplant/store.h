/* SPDX-License-Identifier: Apache-2.0 */
/* Results of sweeps, in one SQLite file (docs/FORMATS.md has the tables).
 *
 * A store holds the responses of one model under one set of settings: any tasks, languages, sites
 * and layers. A sweep that was stopped can ask a store which responses are missing, and continue
 * with these. One process writes at a time, and others may read. Committed data survive: a process
 * that is killed at any moment loses only what it added after the last commit.
 *
 * Use a store from one thread at a time. */
#ifndef XTRANSPLANT_STORE_H
#define XTRANSPLANT_STORE_H

#include "xtransplant/engine.h"
#include "xtransplant/sweep.h"
#include "xtransplant/tasks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct xt_store xt_store;

#define XT_STORE_LAYERS_MOST 256 /* largest number of layers of a model in a store */

typedef enum xt_store_mode {
  XT_STORE_READ = 0, /* the file must exist */
  XT_STORE_WRITE     /* the file is made if it does not exist; refused while another process
                        writes to it */
} xt_store_mode;

/* Opening for writing does not change an existing store. Another program's file, or a store of a
 * newer schema, is an XT_STATUS_INPUT error. A store of an older schema can be read, and gets the
 * tables that it lacks when it is first written to. The caller frees *out with xt_store_close. */
XT_API xt_status xt_store_open(const char *path, xt_store_mode mode, xt_store **out,
                               xt_error *error);
/* Discards what was not committed. Accepts NULL. */
XT_API void xt_store_close(xt_store *store);

/* What all responses of a store have in common, besides the model. */
typedef struct xt_store_settings {
  xt_compute compute;
  int max_new_tokens;
  double repetition_penalty; /* in effect; 0: the model's */
  bool ignore_eos;
} xt_store_settings;

/* Whether the store may take responses of this model under these settings; an XT_STATUS_ARGUMENT
 * error names the first that differs. An empty store accepts any. An inspected model is sufficient.
 * `hash` is the model's xt_model_hash. */
XT_API xt_status xt_store_check(const xt_store *store, const xt_model *model, const char *hash,
                                const xt_store_settings *settings, xt_error *error);

/* Begins to write: checks like xt_store_check, and records the run with the provenance of its
 * responses (model files, build, processor, library versions, settings, `command`). The model must
 * outlive the store, because its tokenizer decodes the texts. An inspected model is sufficient, but
 * then the record does not contain the kernels and the number of threads. */
XT_API xt_status xt_store_begin(xt_store *store, const xt_model *model, const char *hash,
                                const xt_store_settings *settings, const char *command,
                                xt_error *error);

/* All that a store needs to know about a model, so that responses can be added without the model:
 * by another program, or from the results of another machine. */
typedef struct xt_store_identity {
  const char *hash;              /* xt_model_hash's */
  const char *name;              /* of the model, for people; NULL: "" */
  int layers;                    /* 1 to XT_STORE_LAYERS_MOST */
  xt_store_settings settings;    /* the repetition penalty in effect: above 0 */
  const char *provenance;        /* the provenance of the responses: a JSON object; NULL: "{}" */
  const xt_tokenizer *tokenizer; /* decodes responses; borrowed, must outlive the store. NULL:
                                    responses are stored as ids only */
} xt_store_identity;

/* Fills an identity from a loaded or an inspected model. The identity owns the strings, which
 * xt_store_identity_deinit frees; the tokenizer belongs to the model. On failure there is nothing
 * to free. */
XT_API xt_status xt_store_identify(const xt_model *model, const char *hash,
                                   const xt_store_settings *settings, const char *command,
                                   xt_store_identity *out, xt_error *error);
XT_API void xt_store_identity_deinit(xt_store_identity *identity); /* accepts NULL */
/* Like xt_store_begin, with an identity, of which only the tokenizer is needed afterwards. */
XT_API xt_status xt_store_begin_as(xt_store *store, const xt_store_identity *identity,
                                   xt_error *error);

/* Gives the store's number of a question, which is added if it is new. `ids` are those of its
 * prompts. */
XT_API xt_status xt_store_add_question(xt_store *store, const xt_question *question,
                                       const xt_instance *ids, int64_t *number, xt_error *error);
/* The same without adding: -1 if the store does not have the question. */
XT_API xt_status xt_store_find_question(xt_store *store, const xt_question *question,
                                        int64_t *number, xt_error *error);

/* Finds questions of the store that have the task, languages and id of one of `questions` but
 * differ from it, because it was edited since or comes from another dataset. Calls `edited` with
 * the index of the question, and the store's number of the old one. */
XT_API xt_status xt_store_find_edited(xt_store *store, const xt_question *const *questions,
                                      size_t count,
                                      xt_status (*edited)(void *user, size_t index, int64_t number,
                                                          xt_error *error),
                                      void *user, xt_error *error);
/* Removes questions, with their responses and all measurements, also from the plans. */
XT_API xt_status xt_store_remove_questions(xt_store *store, const int64_t *numbers, size_t count,
                                           xt_error *error);

/* Finds which responses to a question are present: have[i * layers + j] is set for source layer i
 * and target layer j at the site, and other elements are not changed. *vanilla (may be NULL) says
 * whether the untouched run is present. */
XT_API xt_status xt_store_find_responses(xt_store *store, int64_t question, xt_site site,
                                         int layers, bool *have, bool *vanilla, xt_error *error);

/* Adds one response; an existing one is not changed. `site` NULL: the untouched run. */
XT_API xt_status xt_store_add_response(xt_store *store, int64_t question, const xt_site *site,
                                       int source_layer, int target_layer,
                                       const xt_generation *generation, xt_error *error);

/* An answer whose first token's log-probability is kept for every run of a question. */
typedef struct xt_tracked {
  int32_t id;         /* of the token */
  const char *kind;   /* "label" or "text" of an option, "gold", "word" (one that was asked for) */
  const char *answer; /* the label of the option, the gold answer, the word */
  const char *spelling; /* the text of which the token is the first: with a space before it or
                           without */
  int32_t also; /* the token of the same text after a space, where the two are kept together: the
                   number is then that of either. 0: none */
} xt_tracked;

/* Records what is tracked of a question, at most XT_TRACKED_MOST answers, before its responses are
 * added: xt_generation.effects has their numbers in this order. Other answers than those recorded
 * before are an XT_STATUS_ARGUMENT error. */
XT_API xt_status xt_store_track(xt_store *store, int64_t question, const xt_tracked *list,
                                size_t count, xt_error *error);
/* *have: whether something is recorded; *same: whether it is this. */
XT_API xt_status xt_store_find_tracked(xt_store *store, int64_t question, const xt_tracked *list,
                                       size_t count, bool *have, bool *same, xt_error *error);
/* Adds the numbers of the question's source prompt (xt_sweep_response.source_effects); existing
 * ones are not changed. */
XT_API xt_status xt_store_add_source_effects(xt_store *store, int64_t question,
                                             const float *numbers, size_t count, xt_error *error);
/* A number as a store gives it back: rounded to float16. */
XT_API float xt_effect_stored(float number);

/* Adds the untouched model's response to the question's source prompt; an existing one is not
 * changed. */
XT_API xt_status xt_store_add_source(xt_store *store, int64_t question,
                                     const xt_generation *generation, xt_error *error);
/* *have says whether it is present. */
XT_API xt_status xt_store_find_source(xt_store *store, int64_t question, bool *have,
                                      xt_error *error);

/* How responses were drawn at random. */
typedef struct xt_sample_settings {
  double temperature, top_p;
  unsigned long long seed;
} xt_sample_settings;

/* Adds the number-th (from 0) of the responses to the question's target prompt that were drawn with
 * these settings; an existing one is not changed. Only its ids and log-probabilities are stored. */
XT_API xt_status xt_store_add_sample(xt_store *store, int64_t question,
                                     const xt_sample_settings *settings, int number,
                                     const xt_generation *generation, xt_error *error);
/* have[k] is set for each number below `count` that is present; other elements are not changed. */
XT_API xt_status xt_store_find_samples(xt_store *store, int64_t question,
                                       const xt_sample_settings *settings, int count, bool *have,
                                       xt_error *error);

/* What a sweep is to run for the questions of one task, language and source language. Everything is
 * borrowed for the call. */
typedef struct xt_store_plan {
  const char *task, *lang, *source_lang;
  bool cot;        /* prompts that ask for reasoning */
  size_t dataset;  /* questions of the dataset in the language; 0: not known */
  size_t too_long; /* of the selected ones, those left out because they are longer than the
                      model's context */
  const xt_question *const *questions; /* those that are to be run: selected by --limit and
                                          --shard, without those that are too long */
  size_t question_count;
  const xt_site *sites;
  size_t site_count;
  const int *source_layers, *target_layers; /* ascending */
  size_t source_layer_count, target_layer_count;
} xt_store_plan;

/* Records a plan, so that missing responses can be distinguished from those that were never wanted
 * (analysis.h: xt_coverage). Adding the same plan again changes nothing. */
XT_API xt_status xt_store_add_plan(xt_store *store, const xt_store_plan *plan, xt_error *error);

/* Makes additions durable, if the oldest of them was added at least `seconds` ago; 0: in any case.
 * Each call that adds a response also calls this, with 2. On failure the uncommitted additions are
 * lost, and the store is unchanged. */
XT_API xt_status xt_store_commit(xt_store *store, double seconds, xt_error *error);

/* A commit that has to wait because another process is reading the file. */
#define XT_STORE_NAME_SIZE 64
typedef struct xt_store_wait {
  const char *path;
  double seconds;   /* since the first try */
  long process;     /* the process that holds the file; 0: not known */
  const char *name; /* of the process; "": not known */
} xt_store_wait;

/* Sets a function that is called about once a second while a commit has to wait; if it returns
 * true, the commit fails, and uncommitted additions are lost. Commits that need not happen now are
 * postponed, and only reported. Without such a function a commit waits half a minute. */
XT_API void xt_store_on_wait(xt_store *store, bool (*wait)(void *user, const xt_store_wait *wait),
                             void *user);

/* ---- reading --------------------------------------------------------------------------------- */

/* Strings are borrowed from the store. */
typedef struct xt_store_info {
  const char *path;
  const char *model_hash, *model_name, *compute;
  int layers, max_new_tokens;
  double repetition_penalty;
  bool ignore_eos;
  int64_t questions, responses, vanilla, texts, runs; /* responses: without the untouched runs */
  uint64_t bytes;                                     /* of the file when it was opened */
} xt_store_info;
XT_API xt_status xt_store_get_info(xt_store *store, xt_store_info *info, xt_error *error);

#define XT_RESPONSE_ID_SIZE 33

/* The number of a response that was drawn at random, and its settings. */
typedef struct xt_store_sample {
  int number; /* from 0 */
  xt_sample_settings settings;
} xt_store_sample;

/* One response. Borrowed for the callback. */
typedef struct xt_store_row {
  char id[XT_RESPONSE_ID_SIZE];   /* from model, settings, question, site and layers: the same in
                                     every store */
  const xt_question *question;    /* the same object for all rows of a question, which follow one
                                     another */
  int64_t question_number;        /* the store's, as xt_store_find_question gives it */
  const char *site;               /* "vanilla": the untouched run; "source": the source prompt's
                                     own; "sample": drawn at random */
  int source_layer, target_layer; /* -1: no transplant */
  const char *text;               /* UTF-8, special tokens skipped; NULL: the model has no
                                     tokenizer */
  size_t text_length;
  const int32_t *ids;
  size_t count;
  double margin;                     /* the smallest of the response: best minus second-best
                                        logit. It and the entropies are NaN for a sample */
  double entropy;                    /* nats, of the first token's distribution */
  double mean_entropy, mean_logprob; /* over the response's tokens */
  int correct;         /* 1 or 0 by the task's scoring; -1: no scoring or no gold answer */
  int64_t text_number; /* within this store */
  double nll_standalone, nll_conditional; /* nats per token (metrics.h); NaN: not measured, or
                                             nothing to measure */
  bool standalone_measured, conditional_measured; /* whether each of the two was measured */
  const char *language; /* identified language of the text; "": none was identified; NULL: not
                           measured */
  double language_probability;
  const char *strategy, *strategy_site; /* only for xt_store_read_selections: the strategy that
                                           selected the response, and the site among whose
                                           transplants it chose; else NULL */
  xt_store_sample sample;               /* xt_store_read_samples only */
  const xt_tracked *tracked;            /* [tracked_count] of the question; NULL: nothing */
  size_t tracked_count;
  const float *effects;     /* [XT_EFFECT_TRACKED + tracked_count] as xt_generation.effects; NULL:
                           there are none */
  const xt_choice *options; /* [option_count] of the question, with the texts that are scored;
                               NULL: it has none */
  size_t option_count;
  const double *option_sums; /* [option_count] log-probabilities of their texts after the target
                                prompt (metrics.h); NULL: not scored */
} xt_store_row;

/* Calls `row` for every response, in an order that depends only on content: task, language, number
 * in the language, id; then the untouched run, then by site, source layer, target layer. A status
 * other than XT_STATUS_OK ends the reading with that status. */
XT_API xt_status xt_store_read(xt_store *store,
                               xt_status (*row)(void *user, const xt_store_row *row,
                                                xt_error *error),
                               void *user, xt_error *error);

/* The same for the untouched model's responses to the source prompts; their `correct` is -1,
 * because a gold answer belongs to the target prompt. */
XT_API xt_status xt_store_read_sources(xt_store *store,
                                       xt_status (*row)(void *user, const xt_store_row *row,
                                                        xt_error *error),
                                       void *user, xt_error *error);
/* The same for responses drawn at random, in order of temperature, top_p, seed, number. */
XT_API xt_status xt_store_read_samples(xt_store *store,
                                       xt_status (*row)(void *user, const xt_store_row *row,
                                                        xt_error *error),
                                       void *user, xt_error *error);

/* Which responses xt_store_read_questions gives. Zero-initialise for all that xt_store_read gives. */
typedef struct xt_store_read_options {
  size_t size;             /* sizeof this, or 0: see api.h */
  const char *task, *lang; /* only of questions with these; NULL: all */
  const char *site;        /* only at this site; "vanilla": the untouched runs; "source": what
                              xt_store_read_sources gives; NULL: all but the latter */
} xt_store_read_options;

/* Calls `rows` once for each question that has any, with its responses in xt_store_read's order. What
 * is not wanted is not read. `options` may be NULL. Rows with the same text_number share one `text`, and
 * neighbours at the same site one `site`. */
XT_API xt_status xt_store_read_questions(xt_store *store, const xt_store_read_options *options,
                                         xt_status (*rows)(void *user, const xt_store_row *rows,
                                                           size_t count, xt_error *error),
                                         void *user, xt_error *error);

/* SHA-256 of a text in hexadecimal, as in lm-evaluation-harness' doc_hash, prompt_hash and
 * target_hash. */
#define XT_TEXT_HASH_SIZE 65
XT_API void xt_text_hash(const char *text, size_t length, char out[XT_TEXT_HASH_SIZE]);

/* ---- what is stored besides responses --------------------------------------------- */

/* Calls `run` for each run with the time when it began and, as JSON, the provenance of its
 * responses. Borrowed for the callback. */
XT_API xt_status xt_store_read_runs(xt_store *store,
                                    xt_status (*run)(void *user, const char *started,
                                                     const char *provenance, xt_error *error),
                                    void *user, xt_error *error);

/* Calls `row` for every response that a strategy of select.h selected, in xt_store_read's order of
 * questions, then by strategy, then by site. A row's site and layers are those of the response:
 * "vanilla" if the strategy chose the untouched run. */
XT_API xt_status xt_store_read_selections(xt_store *store,
                                          xt_status (*row)(void *user, const xt_store_row *row,
                                                           xt_error *error),
                                          void *user, xt_error *error);

/* Joins stores with the same model and settings into a new one at `path`, which is written
 * completely or not at all. Different models or settings, or two different responses for the same
 * configuration, are an XT_STATUS_INPUT error that names what differs. */
XT_API xt_status xt_store_merge(const char *path, const char *const *inputs, size_t count,
                                xt_error *error);

/* Zero-initialise for xt_store_merge's behaviour. */
typedef struct xt_store_merge_options {
  size_t size; /* sizeof this, or 0: see api.h */
  /* Told of a store that is missing, is none, or is damaged, if only by one value; with true the
   * others are joined without it, and nothing of it is kept. NULL: it is an error. At least one has
   * to be left */
  bool (*leave_out)(void *user, const char *input, const xt_error *why);
  /* Told after each store, of so many. May be NULL */
  void (*progress)(void *user, size_t done, size_t count);
  void *user;
} xt_store_merge_options;

/* xt_store_merge under options, which may be NULL. */
XT_API xt_status xt_store_merge_with(const char *path, const char *const *inputs, size_t count,
                                     const xt_store_merge_options *options, xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
