/* SPDX-License-Identifier: Apache-2.0 */
/* init-model: a model of a real shape with random weights. */
#include <stdlib.h>

#include "shell/interrupt.h"
#include "shell/progress.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  int like, layers, dtype, threads;
  uint64_t seed;
  const char *tokenizer, *output;
  int progress;
  bool quiet;
} Arguments;

static const char *const dtypes[] = {"f32", "bf16", "f16", NULL};

static const Option options[] = {
    {.name = "like",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, like),
     .value = "SHAPE",
     .required = true,
     .choices_from = xt_model_shapes,
     .help = "the model whose architecture and sizes are copied"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .required = true,
     .help = "the directory to make; an existing directory must be empty"},
    {.name = "layers",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, layers),
     .value = "N",
     .low = 1,
     .high = 1000,
     .help = "the number of layers; without it, the shape's own"},
    {.name = "dtype",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, dtype),
     .value = "TYPE",
     .choices = dtypes,
     .help = "the type of the stored weights; without it, the shape's own"},
    {.name = "seed",
     .type = OPTION_U64,
     .field = OPTION_FIELD(Arguments, uint64_t, seed),
     .value = "N",
     .preset = "1",
     .help = "the seed of the weights; the same seed gives the same bytes"},
    {.name = "tokenizer",
     .letter = 't',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, tokenizer),
     .value = "DIR",
     .help = "a directory whose tokenizer files are copied; without it, a byte-level tokenizer "
             "is written"},
    {.name = "threads",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, threads),
     .value = "N",
     .low = 1,
     .high = 1024,
     .help = "the number of threads that make the weights; without it, one per processor"},
    OPTION_PROGRESS(Arguments, progress),
    OPTION_QUIET(Arguments, quiet),
};

static bool show_tensors_written(void *progress, uint64_t done, uint64_t total) {
  progress_bytes(progress, done, total);
  return interrupt_asked();
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  Progress progress;
  xt_error error;
  char *tokenizer = NULL;
  xt_status status =
      arguments->tokenizer ? model_locate(arguments->tokenizer, &tokenizer, &error) : XT_STATUS_OK;
  if (status) return cli_exit(cli, status, &error);
  const xt_synth_options how = {.shape = xt_model_shapes()[arguments->like],
                                .layers = arguments->layers,
                                .dtype =
                                    option_is_given(cli, "dtype") ? dtypes[arguments->dtype] : NULL,
                                .seed = arguments->seed,
                                .tokenizer = tokenizer,
                                .threads = arguments->threads,
                                .progress = show_tensors_written,
                                .user = &progress};
  const double begin = seconds_now();
  interrupt_watch();
  progress_begin(&progress, arguments->progress, arguments->quiet);
  status = xt_model_synthesize(&how, arguments->output, &error);
  progress_end(&progress);
  free(tokenizer);
  if (!status)
    cli_note(arguments->quiet, "wrote a random %s to %s in %.1f s", how.shape, arguments->output,
             seconds_now() - begin);
  return cli_exit(cli, status, &error);
}

const Verb verb_init_model = {
    .name = "init-model",
    .summary = "write a model with random weights, for benchmarks and tests",
    .about =
        "Writes a model directory in Hugging Face layout with the architecture and sizes of a real "
        "model and random weights. The tiny-* shapes have a few layers and run in milliseconds.",
    .example = "xtransplant init-model --like tiny-llama -o tiny",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
