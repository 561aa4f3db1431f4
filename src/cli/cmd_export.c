/* export: a results file as lines, one a response. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "verbs.h"

typedef enum Format { FORMAT_JSONL = 0, FORMAT_CSV } Format;
static const char *const format_names[] = {[FORMAT_JSONL] = "jsonl", [FORMAT_CSV] = "csv", NULL};

typedef struct Arguments {
  int format;
  bool selections, quiet;
} Arguments;

static const Option options[] = {
    {.name = "format", .letter = 'f', .type = OPTION_ENUM, .field = OPTION_FIELD(Arguments, int, format), .value = "FORMAT",
     .choices = format_names, .preset = "jsonl", .help = "JSON lines with lm-evaluation-harness field names, or comma-separated values"},
    {.name = "selections", .type = OPTION_FLAG, .field = OPTION_FIELD(Arguments, bool, selections),
     .help = "instead of all responses those that select chose, each with its strategy"},
    OPTION_QUIET(Arguments, quiet),
};

/* ---- JSON lines ------------------------------------------------------------------------------- */

static json_t *layer_json(int layer) { return layer < 0 ? json_null() : json_integer(layer); }

/* [["response"]] */
static json_t *responses_json(const xt_store_row *row) {
  json_t *outer = json_array(), *inner = json_array();
  bool ok = inner && json_array_append_new(inner, json_text(row->text, row->text_length)) == 0;
  ok = outer && inner && json_array_append_new(outer, inner) == 0 && ok;
  if (ok) return outer;
  json_decref(outer);
  return NULL;
}

static json_t *metrics_json(const xt_store_row *row) {
  json_t *object = json_object();
  if (json_add(object, "acc", row->correct < 0 ? json_null() : json_integer(row->correct))) return object;
  json_decref(object);
  return NULL;
}

static xt_status print_line(void *user, const xt_store_row *row, xt_error *error) {
  (void)user;
  const xt_question *q = row->question;
  json_t *object = json_object();
  bool ok = json_add(object, "doc_id", json_string(q->id));
  ok = json_add(object, "lang", json_string(q->lang)) && ok;
  ok = json_add(object, "task", json_string(q->task)) && ok;
  ok = json_add(object, "site", json_string(row->site)) && ok;
  ok = json_add(object, "source_layer", layer_json(row->source_layer)) && ok;
  ok = json_add(object, "target_layer", layer_json(row->target_layer)) && ok;
  ok = json_add(object, "resps", responses_json(row)) && ok;
  ok = json_add(object, "ids", json_ids(row->ids, row->count)) && ok;
  ok = json_add(object, "margin", json_number(row->margin)) && ok;
  ok = json_add(object, "entropy", json_number(row->entropy)) && ok;
  ok = json_add(object, "mean_entropy", json_number(row->mean_entropy)) && ok;
  ok = json_add(object, "mean_logprob", json_number(row->mean_logprob)) && ok;
  ok = json_add(object, "target", q->gold ? json_string(q->gold) : json_null()) && ok;
  ok = json_add(object, "metrics", metrics_json(row)) && ok;
  ok = json_add(object, "source_lang", json_string(q->source_lang)) && ok;
  ok = json_add(object, "id", json_string(row->id)) && ok;
  if (row->strategy) ok = json_add(object, "strategy", json_string(row->strategy)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

/* ---- comma-separated values (RFC 4180) -------------------------------------------------------- */

static void print_cell(const char *text, size_t length, char end) {
  bool quoted = false;
  for (size_t i = 0; i < length; i++) quoted = quoted || strchr(",\"\r\n", text[i]) || text[i] == 0;
  if (quoted) putchar('"');
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '"') putchar('"');
    putchar(text[i]);
  }
  if (quoted) putchar('"');
  putchar(end);
}

static void print_text(const char *text) { print_cell(text, strlen(text), ','); }

static void print_number(double value) {
  if (isfinite(value)) printf("%.9g", value);
  putchar(',');
}

static xt_status print_values(void *user, const xt_store_row *row, xt_error *error) {
  (void)user;
  (void)error;
  const xt_question *q = row->question;
  print_text(q->id);
  print_text(q->lang);
  print_text(q->task);
  print_text(row->site);
  if (row->source_layer >= 0) printf("%d,%d,", row->source_layer, row->target_layer);
  else fputs(",,", stdout);
  print_cell(row->text ? row->text : "", row->text_length, ',');
  for (size_t i = 0; i < row->count; i++) printf("%s%d", i ? " " : "", (int)row->ids[i]);
  putchar(',');
  print_number(row->margin);
  print_number(row->entropy);
  print_number(row->mean_entropy);
  print_number(row->mean_logprob);
  print_text(q->gold ? q->gold : "");
  if (row->correct >= 0) printf("%d", row->correct);
  putchar(',');
  print_text(q->source_lang);
  print_cell(row->id, strlen(row->id), row->strategy ? ',' : '\n');
  if (row->strategy) print_cell(row->strategy, strlen(row->strategy), '\n');
  return XT_STATUS_OK;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  xt_store *store = NULL;
  xt_error error;
  if (cli->rest_count != 1) return cli_usage(cli, "give one results file");
  xt_status status = xt_store_open(cli->rest[0], XT_STORE_READ, &store, &error);
  if (!status && arguments->format == FORMAT_CSV)
    printf("doc_id,lang,task,site,source_layer,target_layer,response,ids,margin,entropy,mean_entropy,mean_logprob,target,acc,source_lang,id%s\n",
           arguments->selections ? ",strategy" : "");
  if (!status) status = (arguments->selections ? xt_store_read_selections : xt_store_read)(store, arguments->format == FORMAT_CSV ? print_values : print_line, NULL, &error);
  xt_store_close(store);
  return cli_exit(cli, status, &error);
}

const Verb verb_export = {
    .name = "export",
    .summary = "a results file as JSON lines or CSV, a line a response",
    .about = "Prints every response of a results file, in an order that depends on what it holds and not on how it was made. Fields: the "
             "question (doc_id, lang, task), the transplant (site, source_layer, target_layer; vanilla and nulls for the untouched run), the "
             "response (resps, ids), margin (smallest of the response), entropy (of the first token, in nats), mean_entropy and mean_logprob "
             "over the tokens, target (the gold answer), metrics.acc by the task's own scoring, and id, the same for the same "
             "model, settings, question and transplant everywhere.",
    .example = "xtransplant export xnli.db --format csv > xnli.csv",
    .rest_name = "RESULTS.db",
    .rest_max = 1,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
