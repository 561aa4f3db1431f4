/* SPDX-License-Identifier: Apache-2.0 */
/* train: fine-tuning, and training from random weights. */
#include <stdlib.h>
#include <string.h>

#include "shell/interrupt.h"
#include "shell/output.h"
#include "shell/progress.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  xt_train_options train;
  const char *data, *output;
  int recipe, format, schedule, dtype, save_steps, steps;
  bool from_scratch, pack, all_tokens, recompute;
} Arguments;

static const char *const formats[] = {"auto", "pairs", "lines", "text", NULL};
static const char *const schedules[] = {"linear", "cosine", "constant", NULL};
static const char *const recipes[] = {"paper", NULL};
static const char *const dtypes[] = {"f32", "bf16", "f16", NULL};

#define TEXT(name, letter, member, value, ...) \
  { name, letter, OPTION_TEXT, OPTION_FIELD(Arguments, const char *, member), value, __VA_ARGS__ }
/* clang-format off */
#define REAL(option, member, from, to, text, ...) \
  {.name = option, .type = OPTION_REAL, .field = OPTION_FIELD(Arguments, double, train.member), .value = "X", .low = from, .high = to, \
   .help = text, .preset = __VA_ARGS__}
#define COUNT(option, member, from, to, text, ...) \
  {.name = option, .type = OPTION_INT, .field = OPTION_FIELD(Arguments, int, member), .value = "N", .low = from, .high = to, \
   .help = text, __VA_ARGS__}
#define CHOICE(option, member, value_name, list, text, ...) \
  {.name = option, .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, member), .value = value_name, .choices = list, \
   .help = text, __VA_ARGS__}
/* clang-format on */
#define FLAG(option, member, text)                                                       \
  {                                                                                      \
    .name = option, .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, member), \
    .help = text                                                                         \
  }

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    TEXT("data", 'd', data, "FILE",
         "the training data: JSON lines {prompt, response}, {inputs, targets} (Aya) or {text}, "
         "or plain text",
         .required = true),
    TEXT("output", 'o', output, "DIR", "the directory to make; a stopped run there is resumed",
         .required = true),
    CHOICE("format", format, "F", formats,
           "the form of the data: pairs is JSON lines; lines is text with an example per line; "
           "text is one text, which is cut into pieces; auto decides by the file's ending",
           .preset = "auto"),
    CHOICE("recipe", recipe, "NAME", recipes,
           "paper sets --schedule cosine and --compute bf16 unless they are given. The paper "
           "names 3 epochs, batch 16, rate 1e-5, warm-up 0.1 (the defaults here) and bf16; "
           "cosine is a guess: it is the schedule of the LLaMA-Factory example that has all "
           "these values"),
    FLAG("from-scratch", from_scratch,
         "start from random weights; only the model's config.json and tokenizer are read"),
    COUNT("epochs", train.epochs, 1, 1e6, "the number of passes over the data", .preset = "3"),
    COUNT("steps", steps, 1, 1e9, "the number of steps, instead of --epochs"),
    COUNT("batch", train.batch, 1, 1e6, "the number of sequences per step", .preset = "16"),
    COUNT("micro-batch", train.micro_batch, 1, 1e6,
          "the number of sequences that run together; gradients are summed over the step; "
          "without it, all of the step"),
    COUNT("length", train.length, 2, 1e6,
          "the largest number of tokens of a sequence; longer ones are cut; without it, the "
          "model's context, at most 1024"),
    FLAG("pack", pack,
         "fill each step with examples up to batch times length tokens; each example still "
         "attends only to itself"),
    FLAG("all-tokens", all_tokens,
         "count the tokens of prompts in the loss, not only those of "
         "responses"),
    REAL("lr", rate, 1e-12, 10, "the largest learning rate", "1e-5"),
    REAL("warmup", warmup, 0, 1, "the share of the steps in which the rate rises from 0", "0.1"),
    CHOICE("schedule", schedule, "S", schedules,
           "how the rate changes after the warm-up: linear and cosine fall to 0; the paper does "
           "not name a schedule",
           .preset = "linear"),
    REAL("beta1", beta1, 0, 0.999999, "AdamW's first decay", "0.9"),
    REAL("beta2", beta2, 0, 0.99999999, "AdamW's second decay", "0.999"),
    REAL("eps", eps, 1e-30, 1, "AdamW's epsilon", "1e-8"),
    REAL("weight-decay", weight_decay, 0, 10,
         "AdamW's weight decay, which applies to matrices "
         "only",
         "0"),
    REAL("clip", clip, 0, 1e9, "the largest norm of the gradient; 0 is no limit", "1"),
    FLAG("recompute", recompute,
         "compute each layer again in the backward pass, which needs less memory and gives the "
         "same bits"),
    {.name = "seed",
     .type = OPTION_U64,
     .field = OPTION_FIELD(Arguments, uint64_t, train.seed),
     .value = "N",
     .preset = "1",
     .help = "the seed of the data's order and of random weights"},
    CHOICE("dtype", dtype, "TYPE", dtypes,
           "the type of the weights that are written; without it, the model's own"),
    COUNT("save-steps", save_steps, 0, 1e9,
          "save a state to resume from every N steps; with 0, only when the run is stopped",
          .preset = "100"),
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_PROGRESS(Arguments, model.progress),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

/* ---- progress -------------------------------------------------------------------------------- */

typedef struct Watch {
  Progress progress;
  bool quiet, stop_reported;
  double loss;
  uint64_t tokens, steps;
} Watch;

static void show_step(void *user, const xt_train_step *s) {
  Watch *w = user;
  /* reading does not count in the speed of steps */
  if (w->steps++ == 0) w->progress.began = seconds_now() - s->seconds;
  w->tokens += s->tokens;
  w->loss = w->steps == 1 ? s->loss : w->loss + 0.05 * (s->loss - w->loss);
  if (!progress_due(&w->progress)) return;
  /* steps of an earlier run take no time in this one */
  const double share = (double)w->steps / (double)(w->steps + s->steps - s->step);
  progress_print(&w->progress, share,
                 "step %llu/%llu  loss %.4f  rate %.2e  norm %.2f  %.0f tokens/s",
                 (unsigned long long)s->step, (unsigned long long)s->steps, w->loss, s->rate,
                 s->norm, (double)w->tokens / (seconds_now() - w->progress.began + 1e-9));
}

static bool wants_stop(void *user) {
  Watch *w = user;
  if (interrupt_asked() && !w->stop_reported) {
    w->stop_reported = true;
    progress_break(&w->progress);
    cli_note(w->quiet, "stopping after this step; a second signal ends it at once");
  }
  return interrupt_asked();
}

/* ---- the verb -------------------------------------------------------------------------------- */

static xt_status print_result(const Arguments *a, const xt_train_stats *s, xt_error *error) {
  const double rate = s->seconds > 0 ? (double)s->tokens / s->seconds : 0,
               speed = s->seconds > 0 ? s->flops / s->seconds : 0;
  if (s->finished_before)
    cli_note(a->model.quiet, "%s: this run is finished, with all %llu steps; nothing to do",
             a->output, (unsigned long long)s->steps);
  else
    cli_note(a->model.quiet,
             "%s: %llu steps over %llu examples (%llu cut), loss %.4f -> %.4f; %.0f tokens/s, %.1f "
             "GFLOP/s in products",
             a->output, (unsigned long long)s->steps, (unsigned long long)s->examples,
             (unsigned long long)s->cut, s->first_loss, s->last_loss, rate, speed / 1e9);
  if (!a->model.json) return XT_STATUS_OK;
  json_t *object = json_object();
  bool ok = json_add(object, "output", json_string(a->output));
  ok = json_add(object, "parameters", json_integer((json_int_t)s->parameters)) && ok;
  ok = json_add(object, "examples", json_integer((json_int_t)s->examples)) && ok;
  ok = json_add(object, "cut", json_integer((json_int_t)s->cut)) && ok;
  ok = json_add(object, "epoch_tokens", json_integer((json_int_t)s->epoch_tokens)) && ok;
  ok = json_add(object, "steps", json_integer((json_int_t)s->steps)) && ok;
  ok = json_add(object, "resumed", json_integer((json_int_t)s->resumed)) && ok;
  ok = json_add(object, "finished_before", json_boolean(s->finished_before)) && ok;
  ok = json_add(object, "tokens", json_integer((json_int_t)s->tokens)) && ok;
  ok = json_add(object, "seconds", json_number(s->seconds)) && ok;
  ok = json_add(object, "tokens_per_second", json_number(rate)) && ok;
  ok = json_add(object, "flops", json_number(s->flops)) && ok;
  ok = json_add(object, "flops_per_second", json_number(speed)) && ok;
  ok = json_add(object, "first_loss", json_number(s->first_loss)) && ok;
  ok = json_add(object, "last_loss", json_number(s->last_loss)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static int run(const Cli *cli, void *opaque) {
  Arguments *a = opaque;
  xt_train_options *t = &a->train;
  xt_train_stats stats;
  xt_error error;
  char *path;
  Watch watch = {.quiet = a->model.quiet};
  if (option_is_given(cli, "steps") && option_is_given(cli, "epochs"))
    return cli_usage(cli, "--steps: cannot be combined with --epochs");
  if (strcmp(a->model.device, "cpu") != 0)
    return cli_usage(cli, "--device: training runs on the cpu");
  xt_status status = model_locate(a->model.model, &path, &error);
  if (status) return cli_exit(cli, status, &error);
  t->model = path;
  t->data = a->data;
  t->output = a->output;
  t->from_scratch = a->from_scratch;
  t->format = (xt_train_format)a->format;
  t->schedule = (xt_train_schedule)a->schedule;
  t->compute = (xt_compute)a->model.compute;
  if (option_is_given(cli, "recipe")) {
    xt_train_options paper = *t;
    xt_train_options_paper(&paper);
    if (!option_is_given(cli, "schedule")) t->schedule = paper.schedule;
    if (!option_is_given(cli, "compute")) t->compute = paper.compute;
  }
  t->dtype = option_is_given(cli, "dtype") ? dtypes[a->dtype] : NULL;
  t->threads = a->model.threads;
  t->memory_limit = a->model.memory;
  t->cpu_kernels = a->model.kernels;
  t->steps = (uint64_t)a->steps;
  t->pack = a->pack;
  t->all_tokens = a->all_tokens;
  t->recompute = a->recompute;
  t->save_steps = (uint64_t)a->save_steps;
  t->progress = show_step;
  t->cancel = wants_stop;
  t->user = &watch;
  interrupt_watch();
  progress_begin(&watch.progress, a->model.progress, a->model.quiet);
  status = xt_train(t, &stats, &error);
  free(path);
  progress_end(&watch.progress);
  if (!status) status = print_result(a, &stats, &error);
  if (status == XT_STATUS_CANCELLED) {
    const int code = cli_exit(cli, status, &error);
    cli_note(a->model.quiet, "%s keeps the state; the same command continues from there",
             a->output);
    return code;
  }
  return cli_exit(cli, status, &error);
}

const Verb verb_train = {
    .name = "train",
    .summary = "fine-tune all weights of a model, or train one from scratch",
    .about = "Trains all weights of a model on pairs of prompt and response, or on plain text, "
             "and writes a model directory in Hugging Face layout. By default, the epochs, batch "
             "size, learning rate and warm-up are the paper's; --recipe paper also sets what the "
             "paper's fine-tuning (ML-SFT) most likely used. The result does not depend on the "
             "number of threads. A run that was stopped resumes from its last saved state when "
             "the same command is given, and its result has the same bits as that of an "
             "uninterrupted run.",
    .example =
        "xtransplant train -m Qwen2-0.5B -d train.jsonl -o tuned --epochs 3 --batch 16 --lr 1e-5",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
