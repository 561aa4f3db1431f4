/* SPDX-License-Identifier: Apache-2.0 */
/* inspect: describes a model without reading the weights. */
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

/* The session whose memory is printed: a usual prompt, a large batch, the paper's 20 new tokens. */
#define PLAN_PROMPT 512
#define PLAN_ROWS 1024
#define PLAN_NEW 20

static int plan_prompt(const xt_model_info *info) {
  const int room = info->trained_positions - PLAN_NEW;
  return room < PLAN_PROMPT ? (room > 0 ? room : 1) : PLAN_PROMPT;
}

/* "13.48 GB"; `buffer` >= 32 bytes */
static const char *size_text(uint64_t bytes, char *buffer) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = (double)bytes;
  size_t unit = 0;
  while (value >= 1000 && unit < 4) {
    value /= 1000;
    unit++;
  }
  snprintf(buffer, 32, unit ? "%.2f %s" : "%.0f %s", value, units[unit]);
  return buffer;
}

/* "6.74 billion"; `buffer` >= 32 bytes */
static const char *count_text(uint64_t count, char *buffer) {
  const bool billions = count >= 1000000000;
  snprintf(buffer, 32, "%.2f %s", (double)count / (billions ? 1e9 : 1e6),
           billions ? "billion" : "million");
  return buffer;
}

#define MOST_TYPES 32

static json_t *types_value(const xt_model *model) {
  xt_dtype_use uses[MOST_TYPES];
  const size_t count = xt_model_dtypes(model, uses, MOST_TYPES);
  json_t *array = json_array();
  for (size_t i = 0; i < count && i < MOST_TYPES; i++)
    json_array_append_new(array, json_pack("{sssisI}", "dtype", uses[i].name, "tensors",
                                           uses[i].tensors, "bytes", (json_int_t)uses[i].bytes));
  return array;
}

static xt_status print_as_json(const LoadedModel *model, xt_error *error) {
  const xt_model_info *info = &model->info;
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  const struct {
    const char *key;
    json_t *value;
  } fields[] = {
      {"path", json_string(info->path)},
      {"architecture", json_string(info->architecture)},
      {"layers", json_integer(info->layers)},
      {"width", json_integer(info->width)},
      {"heads", json_integer(info->heads)},
      {"kv_heads", json_integer(info->kv_heads)},
      {"head_dim", json_integer(info->head_dim)},
      {"feed_forward", json_integer(info->feed_forward)},
      {"experts", json_integer(info->experts)},
      {"experts_used", json_integer(info->experts_used)},
      {"vocab", json_integer(info->vocab)},
      {"max_positions", json_integer(info->trained_positions)},
      {"sliding_window", info->sliding_window ? json_integer(info->sliding_window) : json_null()},
      {"rope_theta", json_number(info->rope_theta)},
      {"rope_scaling", json_string(info->rope_scaling)},
      {"norm_eps", json_number(info->norm_eps)},
      {"tied_embeddings", json_boolean(info->tied_embeddings)},
      {"qkv_bias", json_boolean(info->qkv_bias)},
      {"weight_dtype", json_string(info->weight_dtype)},
      {"weight_format", json_string(info->weight_format)},
      {"weight_types", types_value(model->model)},
      {"files", json_integer(info->files)},
      {"tensors", json_integer(info->tensors)},
      {"parameters", json_integer((json_int_t)info->parameters)},
      {"file_bytes", json_integer((json_int_t)info->file_bytes)},
      {"tokenizer", tokenizer ? json_string(xt_tokenizer_source(tokenizer)) : json_null()},
      {"tokenizer_vocab",
       tokenizer ? json_integer(xt_tokenizer_vocab_size(tokenizer)) : json_null()},
      {"bos", tokenizer && xt_tokenizer_bos(tokenizer) >= 0
                  ? json_integer(xt_tokenizer_bos(tokenizer))
                  : json_null()},
      {"eos", json_ids(info->eos, (size_t)info->eos_count)},
      {"repetition_penalty", json_number(info->repetition_penalty)},
      {"quantisation", json_string(info->quantisation)},
      {"generation_settings", json_string(info->generation_settings)},
      {"weight_bytes", json_integer((json_int_t)info->weight_bytes)},
      {"session_bytes", json_integer((json_int_t)xt_model_session_bytes(
                            model->model, plan_prompt(info), PLAN_ROWS, PLAN_NEW))},
      {"session_prompt", json_integer(plan_prompt(info))},
      {"session_rows", json_integer(PLAN_ROWS)},
      {"session_new_tokens", json_integer(PLAN_NEW)},
  };
  json_t *object = json_object();
  bool ok = true;
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    ok = json_add(object, fields[i].key, fields[i].value) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static void print_tokens(const LoadedModel *model) {
  const xt_model_info *info = &model->info;
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  if (!tokenizer) {
    puts("tokenizer      none: prompts are token ids");
  } else {
    printf("tokenizer      %s, %d ids", xt_tokenizer_source(tokenizer),
           (int)xt_tokenizer_vocab_size(tokenizer));
    if (xt_tokenizer_bos(tokenizer) >= 0)
      printf(", puts BOS %d in front\n", (int)xt_tokenizer_bos(tokenizer));
    else
      puts(", adds no BOS");
  }
  printf("EOS            ");
  for (int i = 0; i < info->eos_count; i++) printf("%s%d", i ? ", " : "", (int)info->eos[i]);
  puts(info->eos_count ? "" : "none: responses always have the full length");
  printf("penalty        ");
  if (info->repetition_penalty == 1)
    puts("none");
  else
    printf("%g for repeated tokens\n", info->repetition_penalty);
  if (info->generation_settings[0]) printf("generation     %s\n", info->generation_settings);
}

/* Only if there are several. */
static void print_types(const xt_model *model) {
  xt_dtype_use uses[MOST_TYPES];
  char size[32];
  const size_t count = xt_model_dtypes(model, uses, MOST_TYPES);
  for (size_t i = 0; count > 1 && i < count && i < MOST_TYPES; i++)
    printf("%s%s: %d tensor%s, %s", i ? "; " : "types          ", uses[i].name, uses[i].tensors,
           uses[i].tensors == 1 ? "" : "s", size_text(uses[i].bytes, size));
  if (count > 1) putchar('\n');
}

static void print_as_text(const LoadedModel *model) {
  const xt_model_info *info = &model->info;
  char size[32];
  printf("model          %s\n", info->path);
  printf("architecture   %s, %s parameters\n", info->architecture,
         count_text(info->parameters, size));
  printf("layers         %d (0 to %d), width %d, feed-forward %d\n", info->layers, info->layers - 1,
         info->width, info->feed_forward);
  if (info->experts)
    printf("experts        %d in each layer, %d of them for each token\n", info->experts,
           info->experts_used);
  printf("attention      %d heads of %d, %d for keys and values%s\n", info->heads, info->head_dim,
         info->kv_heads, info->qkv_bias ? ", biases on q, k and v" : "");
  printf("positions      %d, ", info->trained_positions);
  if (info->sliding_window) printf("sliding window %d, ", info->sliding_window);
  printf("rotary base %g, scaling %s\n", info->rope_theta, info->rope_scaling);
  printf("vocabulary     %d, unembedding %s\n", info->vocab,
         info->tied_embeddings ? "tied to the embedding" : "of its own");
  printf("weights        %s in %d %s file%s, %d tensors, %s\n", info->weight_dtype, info->files,
         info->weight_format, info->files == 1 ? "" : "s", info->tensors,
         size_text(info->file_bytes, size));
  if (info->quantisation[0]) printf("quantisation   %s\n", info->quantisation);
  print_types(model->model);
  print_tokens(model);
  const uint64_t session =
      xt_model_session_bytes(model->model, plan_prompt(info), PLAN_ROWS, PLAN_NEW);
  printf("memory         %s weights", size_text(info->weight_bytes, size));
  printf(" + %s for a prompt of %d tokens with %d rows of %d new ones", size_text(session, size),
         plan_prompt(info), PLAN_ROWS, PLAN_NEW);
  printf(" = %s\n", size_text(info->weight_bytes + session, size));
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  LoadedModel model = {0};
  xt_error error;
  xt_status status = model_describe(&arguments->model, &model, &error);
  if (!status && arguments->model.json)
    status = print_as_json(&model, &error);
  else if (!status)
    print_as_text(&model);
  model_deinit(&model);
  return cli_exit(cli, status, &error);
}

const Verb verb_inspect = {
    .name = "inspect",
    .summary = "print a model's architecture, sizes, files, tokenizer and memory needs",
    .about = "Checks a model (config, name and shape of every tensor, tokenizer) without reading "
             "the weights. Prints what the model holds, with a line per type where the weights "
             "have several, and how much memory it needs: for the weights, and for a session "
             "with one prompt of 512 tokens and 1024 rows that generate 20 tokens each.",
    .example = "xtransplant inspect -m Mistral-7B-Instruct-v0.3",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
