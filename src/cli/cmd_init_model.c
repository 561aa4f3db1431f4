/* SPDX-License-Identifier: Apache-2.0 */
/* init-model: a model of a real shape with random weights. */
#include <stdlib.h>

#include "interrupt.h"
#include "progress.h"
#include "verbs.h"

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
     .help = "architecture and sizes to copy"},
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .required = true,
     .help = "directory to make; one that exists must be empty"},
    {.name = "layers",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, layers),
     .value = "N",
     .low = 1,
     .high = 1000,
     .help = "number of layers; left out: the shape's"},
    {.name = "dtype",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, dtype),
     .value = "TYPE",
     .choices = dtypes,
     .help = "type of the stored weights; left out: the shape's"},
    {.name = "seed",
     .type = OPTION_U64,
     .field = OPTION_FIELD(Arguments, uint64_t, seed),
     .value = "N",
     .preset = "1",
     .help = "the same seed writes the same bytes"},
    {.name = "tokenizer",
     .letter = 't',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, tokenizer),
     .value = "DIR",
     .help = "directory whose tokenizer files are copied; left out: a byte-level one is written"},
    {.name = "threads",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, threads),
     .value = "N",
     .low = 1,
     .high = 1024,
     .help = "threads that make the weights; left out: one per processor"},
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
    .summary = "random weights of a real shape, for benchmarks and tests",
    .about =
        "Writes a model directory in Hugging Face layout with the architecture and sizes of a real "
        "model and random weights. The tiny-* shapes have a few layers and run in milliseconds.",
    .example = "xtransplant init-model --like tiny-llama -o tiny",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
