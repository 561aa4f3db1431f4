/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by all verbs: exit codes, errors, messages, loading a model. */
#ifndef CLI_SHELL_CLI_H
#define CLI_SHELL_CLI_H

#include <jansson.h>

#include "shell/opts.h"
#include "xtransplant/xt.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INPUT = 3 };

/* The rest of the function is cleanup under `done:`; needs a local `xt_status status`. */
#define TRY_DONE(call)                                \
  do {                                                \
    if ((status = (call)) != XT_STATUS_OK) goto done; \
  } while (0)

/* Fills *error as the library does. */
xt_status error_set(xt_error *error, xt_status status, const char *file, const char *field,
                    long long offset, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
xt_status error_memory(xt_error *error);

/* One line on stderr unless `status` is OK; the exit code for it. */
int cli_exit(const Cli *cli, xt_status status, const xt_error *error);
/* "xtransplant VERB: ..." for a command line that contradicts itself; EXIT_USAGE. */
int cli_usage(const Cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A message for the person at the terminal, on stderr unless `quiet`. */
void cli_note(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As cli_note, only where stderr is a terminal: "loading ..." is noise in a log. */
void cli_progress(bool quiet, const char *format, ...) __attribute__((format(printf, 2, 3)));

double seconds_now(void);
double processor_now(void); /* of all threads, in seconds */

/* ---- a model, as the common options describe it ---------------------------------------------- */

typedef struct ModelArguments {
  const char *model, *device, *kernels;
  int threads, compute, progress;
  uint64_t memory;
  bool quiet, json, inexact;
} ModelArguments;

extern const char *const compute_names[];

/* Rows of an option table that fill the ModelArguments `member` of `Arguments`. */
/* clang-format off */
#define OPTION_MODEL(Arguments, member) \
  {.name = "model", .letter = 'm', .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.model), \
   .value = "PATH", .required = true, .help = "the model: a downloaded Hugging Face directory, a GGUF file, a folder of Hugging Face's cache, or the name of a model in that cache"}
/* Lists of layers: members source_layers and target_layers. */
#define OPTIONS_LAYER_LISTS(Arguments, source_help, target_help) \
  {.name = "source-layers", .letter = 'i', .type = OPTION_LAYERS, .field = OPTION_FIELD(Arguments, const char *, source_layers), .value = "LIST", \
   .preset = "all", .help = source_help}, \
  {.name = "target-layers", .letter = 'j', .type = OPTION_LAYERS, .field = OPTION_FIELD(Arguments, const char *, target_layers), .value = "LIST", \
   .preset = "all", .help = target_help}
#define OPTIONS_COMPUTE(Arguments, member) \
  {.name = "threads", .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member.threads), .value = "N", \
   .low = 1, .high = 1024, .help = "the number of threads to compute with; without it, as many as processors may be used (affinity, CPU quota)"}, \
  {.name = "memory", .type = OPTION_SIZE, .field = OPTION_FIELD(Arguments, uint64_t, member.memory), .value = "SIZE", \
   .help = "the memory limit, e.g. 4G or 512M: work that would need more is refused before it begins; without it, the memory that is free"}, \
  {.name = "compute", .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, member.compute), .value = "TYPE", \
   .choices = compute_names, .preset = "f32", .help = "the type that products are computed in: f32 is the reference, bf16 is faster; f16 and tf32 are of CUDA devices alone"}, \
  {.name = "device", .type = OPTION_DEVICE, .field = OPTION_FIELD(Arguments, const char *, member.device), .value = "NAME", \
   .preset = "cpu", .help = "the device to compute on: cpu, opencl, opencl:K, cuda or cuda:K, as the verb devices lists them"}, \
  {.name = "inexact", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member.inexact), \
   .help = "expert: also accept a GPU that does not promise the same bits as the CPU in float32; the results file then names the GPU"}, \
  {.name = "kernels", .type = OPTION_TEXT, .field = OPTION_FIELD(Arguments, const char *, member.kernels), .value = "NAME", \
   .help = "expert: the CPU kernels, e.g. avx512, avx2, neon, portable, reference; without it, the best for this processor"}
#define OPTION_QUIET(Arguments, member) \
  {.name = "quiet", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), .help = "print no messages on stderr except errors"}
#define OPTION_JSON(Arguments, member) \
  {.name = "json", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), .help = "print the result as one line of JSON"}
/* clang-format on */

/* Finds the model of -m or --tokenizer: xt_model_locate with the Hugging Face cache that the
 * environment names (HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
 * ~/.cache/huggingface/hub). Caller frees *path. */
xt_status model_locate(const char *given, char **path, xt_error *error);

typedef struct LoadedModel {
  xt_model *model;
  xt_session *session; /* NULL until load */
  xt_model_info info;
} LoadedModel;

/* Reads everything but the weights, so that errors in the command are found before the minutes that
 * loading weights may take. */
xt_status model_describe(const ModelArguments *arguments, LoadedModel *out, xt_error *error);
/* Replaces a described model by the loaded one and makes a session. */
xt_status model_load(const ModelArguments *arguments, LoadedModel *model, xt_error *error);
/* Its hash, which the user's cache folder keeps (XDG_CACHE_HOME/xtransplant,
 * ~/.cache/xtransplant). */
xt_status model_hash(const LoadedModel *model, bool quiet, char out[XT_MODEL_HASH_SIZE],
                     xt_error *error);
void model_deinit(LoadedModel *model);

#endif
