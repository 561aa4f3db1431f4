/* SPDX-License-Identifier: Apache-2.0 */
/* score: responses from anywhere, judged by a task's own rule. */
#include <stdlib.h>
#include <string.h>

#include "inputs/gold.h"
#include "inputs/lines.h"
#include "inputs/prompt.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  int task;
  const char *data;
} Arguments;

static const Option options[] = {
    {.name = "task",
     .letter = 't',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, task),
     .value = "T",
     .required = true,
     .choices_from = xt_task_names,
     .help = "the task whose rule is used"},
    {.name = "data",
     .letter = 'd',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, data),
     .value = "DIR",
     .help = "the benchmark's folder, with the words of the options in each language (ans_lang); "
             "without it, the released words"},
};

/* The options of one language, kept for the following lines. */
typedef struct Scorer {
  const xt_task *task;
  const char *data;
  char *lang;
  xt_choice *choices;
  size_t count;
} Scorer;

static void scorer_forget(Scorer *s) {
  xt_choices_free(s->choices, s->count);
  free(s->lang);
  s->lang = NULL;
  s->choices = NULL;
  s->count = 0;
}

static xt_status scorer_language(Scorer *s, const char *lang, xt_error *error) {
  if (s->lang && strcmp(s->lang, lang) == 0) return XT_STATUS_OK;
  scorer_forget(s);
  const xt_status status = xt_task_choices(s->task, s->data, lang, &s->choices, &s->count, error);
  if (status) return status;
  s->lang = strdup(lang);
  return s->lang ? XT_STATUS_OK : error_memory(error);
}

static xt_status score_line(Scorer *s, const LineReader *reader, xt_error *error) {
  char field[32];
  json_t *line;
  line_field(reader->number, field);
  xt_status status =
      cli_json_parse(reader->text, reader->length, reader->name, field, &line, error);
  if (status) return status;
  const json_t *lang = json_object_get(line, "lang"), *pred = json_object_get(line, "pred"),
               *gold = json_object_get(line, "gold");
  bool correct = false;
  char *answers = gold_from_json(gold);
  if (!json_is_string(pred) || !gold || (lang && !json_is_string(lang)))
    status = error_set(error, XT_STATUS_INPUT, reader->name, field, -1,
                       "is not an object {\"lang\": \"..\", \"pred\": \"..\", \"gold\": \"..\"}");
  else if (!answers)
    status = error_set(error, XT_STATUS_INPUT, reader->name, field, -1,
                       "\"gold\" is not an answer: expected a string that is not empty, an "
                       "integer, or an array of them");
  else if (json_array_size(gold) > 1 && s->task->kind == XT_TASK_CHOICE)
    status = error_set(error, XT_STATUS_INPUT, reader->name, field, -1,
                       "\"gold\" is an array of %zu, and a question of %s has one right option",
                       json_array_size(gold), s->task->title);
  if (!status) status = scorer_language(s, lang ? json_string_value(lang) : "", error);
  if (!status)
    status = xt_task_score(s->task, s->choices, s->count, json_string_value(pred),
                           json_string_length(pred), answers, &correct, error);
  if (status == XT_STATUS_INPUT && !error->file[0]) {
    char what[sizeof error->field], message[sizeof error->message];
    snprintf(what, sizeof what, "%s", error->field);
    snprintf(message, sizeof message, "%s", error->message);
    error_set(error, status, reader->name, field, -1, "%.100s: %.380s", what, message);
  }
  if (!status) printf("{\"correct\": %s}\n", correct ? "true" : "false");
  free(answers);
  json_decref(line);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  Scorer scorer = {.task = xt_task_get((size_t)arguments->task), .data = arguments->data};
  LineReader reader = {0};
  xt_error error;
  xt_status status;
  TRY_DONE(lines_open("-", &reader, &error));
  for (bool more = true;;) {
    TRY_DONE(lines_next(&reader, &more, &error));
    if (!more) break;
    if (!reader.text[strspn(reader.text, " \t\r\v\f")]) continue; /* a blank line */
    TRY_DONE(score_line(&scorer, &reader, &error));
  }
done:
  lines_close(&reader);
  scorer_forget(&scorer);
  return cli_exit(cli, status, &error);
}

const Verb verb_score = {
    .name = "score",
    .summary = "judge responses on stdin by a task's own rule",
    .about = "Reads JSON lines {\"lang\": .., \"pred\": .., \"gold\": ..} from stdin and prints "
             "{\"correct\": true} or {\"correct\": false} for each, exactly as the task's "
             "released evaluation does. Only xnli needs lang, because the words of its options "
             "depend on the language. gold may be a number, or an array of answers of which each "
             "is right. Blank lines are skipped.",
    .example = "echo '{\"lang\": \"sw\", \"pred\": \"(2)\", \"gold\": \"2\"}' | xtransplant score "
               "--task xnli",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
