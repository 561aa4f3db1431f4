/* SPDX-License-Identifier: Apache-2.0 */
/* Results of sweeps, in one SQLite file (docs/FORMATS.md has the tables).
 *
 * A store holds the responses of one model under one set of settings: any tasks, languages, sites
 * and layers. What is in it is known by its content, so a sweep that was stopped asks for what is
 * missing and goes on. One process writes at a time, others may read. What was committed survives
 * anything: a process killed at any moment loses what it added after the last commit, and nothing
 * else.
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

#define XT_STORE_LAYERS_MOST 256 /* layers of a model that a store takes */

typedef enum xt_store_mode {
  XT_STORE_READ = 0, /* the file has to be there */
  XT_STORE_WRITE     /* made where it is not there; refused while another process writes to it */
} xt_store_mode;

/* Opening for writing makes no change to a store that exists. Another program's file, or a store of
 * a newer schema, is an XT_STATUS_INPUT error. A store of an older schema is read as it is, and
 * gets the tables it lacks when it is first written to. The caller frees *out with
 * xt_store_close. */
XT_API xt_status xt_store_open(const char *path, xt_store_mode mode, xt_store **out,
                               xt_error *error);
/* Gives up what was not committed. Accepts NULL. */
XT_API void xt_store_close(xt_store *store);

/* What all responses of a store have in common, beside the model. */
typedef struct xt_store_settings {
  xt_compute compute;
  int max_new_tokens;
  double repetition_penalty; /* in effect; 0: the model's */
  bool ignore_eos;
} xt_store_settings;

/* Whether the store may take responses of this model under these settings; an XT_STATUS_ARGUMENT
 * error names the first that differs. An empty store takes any. An inspected model will do. `hash`
 * is xt_model_hash's. */
XT_API xt_status xt_store_check(const xt_store *store, const xt_model *model, const char *hash,
                                const xt_store_settings *settings, xt_error *error);

/* Begins to write: checks as xt_store_check, and records the run with where its responses come from
 * (model files, build, processor, library versions, settings, `command`). The model has to outlive
 * the store, whose texts its tokenizer decodes; an inspected one will do, but then the record does
 * not say which kernels and how many threads computed. */
XT_API xt_status xt_store_begin(xt_store *store, const xt_model *model, const char *hash,
                                const xt_store_settings *settings, const char *command,
                                xt_error *error);

/* All that a store takes from a model, so that responses can be added where the model itself is
 * not: by another program, or from another machine's results. */
typedef struct xt_store_identity {
  const char *hash;              /* xt_model_hash's */
  const char *name;              /* of the model, for people; NULL: "" */
  int layers;                    /* 1 to XT_STORE_LAYERS_MOST */
  xt_store_settings settings;    /* the repetition penalty in effect: above 0 */
  const char *provenance;        /* where the responses come from: a JSON object; NULL: "{}" */
  const xt_tokenizer *tokenizer; /* decodes responses; borrowed, has to outlive the store. NULL:
                                    they are kept as ids */
} xt_store_identity;

/* Fills an identity from a loaded or an inspected model. The strings are the identity's own:
 * xt_store_identity_deinit frees them; the tokenizer is the model's. On failure there is nothing to
 * free. */
XT_API xt_status xt_store_identify(const xt_model *model, const char *hash,
                                   const xt_store_settings *settings, const char *command,
                                   xt_store_identity *out, xt_error *error);
XT_API void xt_store_identity_deinit(xt_store_identity *identity); /* accepts NULL */
/* xt_store_begin by an identity, of which nothing but the tokenizer is needed afterwards. */
XT_API xt_status xt_store_begin_as(xt_store *store, const xt_store_identity *identity,
                                   xt_error *error);

/* The store's number of a question, which is added where it is new. Ids are of its prompts. */
XT_API xt_status xt_store_add_question(xt_store *store, const xt_question *question,
                                       const xt_instance *ids, int64_t *number, xt_error *error);
/* The same without adding: -1 where the store has none. */
XT_API xt_status xt_store_find_question(xt_store *store, const xt_question *question,
                                        int64_t *number, xt_error *error);

/* Questions of the store that have the task, languages and id of one of these, and neither are one
 * of them: edited since, or from another dataset. Calls `edited` with the index of the question
 * that has its place, and the store's number of the old one. */
XT_API xt_status xt_store_find_edited(xt_store *store, const xt_question *const *questions,
                                      size_t count,
                                      xt_status (*edited)(void *user, size_t index, int64_t number,
                                                          xt_error *error),
                                      void *user, xt_error *error);
/* Takes questions out, with their responses and all that was measured of them, and out of the
 * plans. */
XT_API xt_status xt_store_remove_questions(xt_store *store, const int64_t *numbers, size_t count,
                                           xt_error *error);

/* Which responses of a question there are: have[i * layers + j] is set for source layer i and
 * target layer j at the site, the others are left alone. *vanilla (may be NULL): whether the
 * untouched run is there. */
XT_API xt_status xt_store_find_responses(xt_store *store, int64_t question, xt_site site,
                                         int layers, bool *have, bool *vanilla, xt_error *error);

/* Adds one response; one that is there already stays as it is. `site` NULL: the untouched run. */
XT_API xt_status xt_store_add_response(xt_store *store, int64_t question, const xt_site *site,
                                       int source_layer, int target_layer,
                                       const xt_generation *generation, xt_error *error);

/* Adds the untouched model's response to the question's source prompt; one that is there already
 * stays. */
XT_API xt_status xt_store_add_source(xt_store *store, int64_t question,
                                     const xt_generation *generation, xt_error *error);
/* *have: whether it is there. */
XT_API xt_status xt_store_find_source(xt_store *store, int64_t question, bool *have,
                                      xt_error *error);

/* How responses were drawn at random. */
typedef struct xt_sample_settings {
  double temperature, top_p;
  unsigned long long seed;
} xt_sample_settings;

/* Adds the number-th (from 0) of the responses to the question's target prompt that were drawn with
 * these settings; one that is there already stays. Only its ids and log-probabilities are kept. */
XT_API xt_status xt_store_add_sample(xt_store *store, int64_t question,
                                     const xt_sample_settings *settings, int number,
                                     const xt_generation *generation, xt_error *error);
/* have[k] is set for each of the numbers below `count` that is there; the others are left alone. */
XT_API xt_status xt_store_find_samples(xt_store *store, int64_t question,
                                       const xt_sample_settings *settings, int count, bool *have,
                                       xt_error *error);

/* What a sweep sets out to do with the questions of one task, language and source language. All is
 * borrowed for the call. */
typedef struct xt_store_plan {
  const char *task, *lang, *source_lang;
  bool cot;        /* prompts that ask for reasoning */
  size_t dataset;  /* questions that the dataset has in the language; 0: not known */
  size_t too_long; /* of those asked for, left out as the model has no positions for
                               them */
  const xt_question *const *questions; /* those that are to be run: what --limit and --shard
                                          leave, without those too long */
  size_t question_count;
  const xt_site *sites;
  size_t site_count;
  const int *source_layers, *target_layers; /* ascending */
  size_t source_layer_count, target_layer_count;
} xt_store_plan;

/* Records a plan, so that what is missing can be told from what was never wanted (analysis.h:
 * xt_coverage). The same plan again changes nothing. */
XT_API xt_status xt_store_add_plan(xt_store *store, const xt_store_plan *plan, xt_error *error);

/* Makes what was added durable, if the oldest of it was added at least `seconds` ago; 0: in any
 * case. Also called by each call that adds a response, with 2. On failure what was not committed is
 * lost; the store stays as it was. */
XT_API xt_status xt_store_commit(xt_store *store, double seconds, xt_error *error);

/* A commit that cannot be made because another process is reading the file. */
#define XT_STORE_NAME_SIZE 64
typedef struct xt_store_wait {
  const char *path;
  double seconds;   /* since it was first tried */
  long process;     /* that holds the file; 0: not known */
  const char *name; /* of it; "": not known */
} xt_store_wait;

/* What is called, about once a second, while a commit has to wait; true gives up, and what was not
 * committed is lost. Commits that may come later are put off and only told. Without it a commit
 * waits half a minute. */
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

/* Which of several responses drawn at random, and how. */
typedef struct xt_store_sample {
  int number; /* from 0 */
  xt_sample_settings settings;
} xt_store_sample;

/* One response. Borrowed for the callback. */
typedef struct xt_store_row {
  char id[XT_RESPONSE_ID_SIZE];   /* of model, settings, question, site and layers: the same in
                                     every store */
  const xt_question *question;    /* one object for all rows of a question, which follow one
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
  double margin;                     /* the smallest of the response: best minus second-best logit.
                                     It and the entropies: NaN of a sample */
  double entropy;                    /* nats, of the first token's distribution */
  double mean_entropy, mean_logprob; /* over the response's tokens */
  int correct;         /* 1 or 0 by the task's scoring; -1: there is none, or no gold */
  int64_t text_number; /* within this store */
  double nll_standalone, nll_conditional; /* nats per token (metrics.h); NaN: not measured, or
                                             nothing to measure */
  bool standalone_measured, conditional_measured; /* which of the two */
  const char *language; /* of the text, as identified; "": none was; NULL: nobody
                                     looked */
  double language_probability;
  const char *strategy, *strategy_site; /* xt_store_read_selections: what selected the response,
                                           among transplants at which site; else NULL */
  xt_store_sample sample;               /* xt_store_read_samples only */
} xt_store_row;

/* Calls `row` for every response, in an order that depends on content alone: task, language, number
 * in the language, id; then the untouched run, then by site, source layer, target layer. What it
 * returns other than XT_STATUS_OK ends the reading with that status. */
XT_API xt_status xt_store_read(xt_store *store,
                               xt_status (*row)(void *user, const xt_store_row *row,
                                                xt_error *error),
                               void *user, xt_error *error);

/* The same for the untouched model's responses to the source prompts; their `correct` is -1, as a
 * gold answer is the target prompt's. */
XT_API xt_status xt_store_read_sources(xt_store *store,
                                       xt_status (*row)(void *user, const xt_store_row *row,
                                                        xt_error *error),
                                       void *user, xt_error *error);
/* The same for responses drawn at random, in order of temperature, top_p, seed, number. */
XT_API xt_status xt_store_read_samples(xt_store *store,
                                       xt_status (*row)(void *user, const xt_store_row *row,
                                                        xt_error *error),
                                       void *user, xt_error *error);

/* SHA-256 of a text in hexadecimal, as lm-evaluation-harness has it in doc_hash, prompt_hash and
 * target_hash. */
#define XT_TEXT_HASH_SIZE 65
XT_API void xt_text_hash(const char *text, size_t length, char out[XT_TEXT_HASH_SIZE]);

/* ---- what other verbs leave beside the responses --------------------------------------------- */

/* A run: when it began and, as JSON, where its responses come from. Borrowed for the callback. */
XT_API xt_status xt_store_read_runs(xt_store *store,
                                    xt_status (*run)(void *user, const char *started,
                                                     const char *provenance, xt_error *error),
                                    void *user, xt_error *error);

/* Calls `row` for every response that a strategy of select.h selected, in order of question as
 * xt_store_read, then strategy, then site. A row's site and layers are those of the response:
 * "vanilla" where the strategy kept the untouched run. */
XT_API xt_status xt_store_read_selections(xt_store *store,
                                          xt_status (*row)(void *user, const xt_store_row *row,
                                                           xt_error *error),
                                          void *user, xt_error *error);

/* Joins stores of one model and settings into a new one at `path`, which appears whole or not at
 * all. Different models or settings, or two different responses for one configuration, are an
 * XT_STATUS_INPUT error that names what differs. */
XT_API xt_status xt_store_merge(const char *path, const char *const *inputs, size_t count,
                                xt_error *error);

#ifdef __cplusplus
}
#endif
#endif
