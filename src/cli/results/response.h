/* SPDX-License-Identifier: Apache-2.0 */
/* What a run generated, with its text. */
#ifndef CLI_RESULTS_RESPONSE_H
#define CLI_RESULTS_RESPONSE_H

#include "shell/cli.h"
#include "inputs/prompt.h"

typedef struct Response {
  const Prompt *prompt; /* borrowed */
  xt_generation generation;
  char *text; /* special tokens skipped; NULL when the model has no tokenizer */
  size_t length;
} Response;

/* clang-format off */
#define OPTION_MAX_NEW_TOKENS(Arguments, member) \
  {.name = "max-new-tokens", .letter = 'n', .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member), .value = "N", \
   .low = 1, .high = 1e6, .preset = "20", .help = "generate at most N tokens"}
#define OPTION_PENALTY(Arguments, member) \
  {.name = "repetition-penalty", .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, member), .value = "X", \
   .low = 0.01, .high = 100, .help = "the penalty on repeated tokens; 1 is none; without it, the value in the model's generation_config.json"}

/* Fields temperature, top_p and seed of `Arguments`, beside an option --samples. */
#define OPTIONS_SAMPLING(Arguments) \
  {.name = "temperature", .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, temperature), .value = "T", .low = 1e-6, \
   .high = 1e6, .preset = "1", .help = "with --samples: the number that logits are divided by"}, \
  {.name = "top-p", .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, top_p), .value = "P", .low = 1e-9, .high = 1, \
   .preset = "1", .help = "with --samples: draw from the smallest set of most likely tokens whose probabilities add up to P"}, \
  {.name = "seed", .type = OPTION_U64, .field = OPTION_FIELD(Arguments, uint64_t, seed), .value = "N", .preset = "1", \
   .help = "with --samples: the seed of the draws; they depend neither on the number of threads nor on the number of samples"}
/* clang-format on */
/* EXIT_USAGE, after saying so, where one of them is given and nothing is drawn. */
int sampling_usage(const Cli *cli, int samples);

/* Takes the generation over (and empties it), and decodes it. */
xt_status response_init(Response *response, const LoadedModel *model, const Prompt *prompt,
                        xt_generation *generation, xt_error *error);
void response_deinit(Response *response);

/* {"prompt_ids": .., "text": .., "ids": .., "margins": .., ...}; NULL when memory runs out. */
json_t *response_json(const Response *response);

float response_smallest_margin(const Response *response);
/* The text, escaped onto one line, or the ids where there is no text. */
void response_print(const Response *response);
/* The end of a prompt on one line of at most `columns`. */
void prompt_print_tail(const Prompt *prompt, int columns);

#endif
