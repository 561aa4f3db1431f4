/* SPDX-License-Identifier: Apache-2.0 */
/* train-tokenizer: learn a byte-level BPE vocabulary from your own texts. */
#include <stdlib.h>
#include <string.h>

#include "verbs/verbs.h"

typedef struct Arguments {
  int vocab, min_count;
  const char *special, *output;
  bool quiet;
} Arguments;

#define FILES_MAX 64

static const Option options[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, output),
     .value = "DIR",
     .required = true,
     .help = "the directory for tokenizer.json and tokenizer_config.json; it is made if it does "
             "not exist"},
    {.name = "vocab",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, vocab),
     .value = "N",
     .low = 257,
     .high = 1 << 24,
     .preset = "4096",
     .help = "the size of the vocabulary, including the 256 bytes and the special tokens"},
    {.name = "special",
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, special),
     .value = "LIST",
     .preset = "<|endoftext|>",
     .help = "the special tokens, separated by commas; they have the first ids, and the first of "
             "them is EOS"},
    {.name = "min-count",
     .type = OPTION_INT,
     .field = OPTION_FIELD(Arguments, int, min_count),
     .value = "N",
     .low = 1,
     .high = 1e9,
     .preset = "2",
     .help = "the number of times that a pair must occur to be merged"},
    OPTION_QUIET(Arguments, quiet),
};

static int run(const Cli *cli, void *opaque) {
  const Arguments *a = opaque;
  const char *special[32];
  xt_error error;
  int learned;
  if (cli->rest_count == 0) return cli_usage(cli, "FILE: missing; give the texts to learn from");
  char *names = strdup(a->special), *rest = names;
  xt_bpe_options o = {.vocab = a->vocab, .special = special, .min_count = a->min_count};
  if (!names) return cli_exit(cli, error_memory(&error), &error);
  for (char *name; (name = strtok_r(rest, ",", &rest)) && o.special_count < 32;)
    special[o.special_count++] = name;
  const xt_status status =
      xt_bpe_train(cli->rest, cli->rest_count, &o, a->output, &learned, &error);
  if (!status) cli_note(a->quiet, "%s: %d merges", a->output, learned);
  free(names);
  return cli_exit(cli, status, &error);
}

const Verb verb_train_tokenizer = {
    .name = "train-tokenizer",
    .summary = "learn a byte-level BPE vocabulary from your own texts",
    .about = "Learns a byte-level BPE vocabulary from plain text and writes tokenizer.json in "
             "the form of Hugging Face's tokenizers library. Text is split into words as GPT-2 "
             "does, and no token spans two lines. The same texts give the same bytes.",
    .example = "xtransplant train-tokenizer --vocab 4096 -o model texts.txt",
    .rest_name = "FILE...",
    .rest_max = FILES_MAX,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
