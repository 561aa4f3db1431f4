/* SPDX-License-Identifier: Apache-2.0 */
/* export: a results file as lines, one per response, and its summary in the form of
 * lm-evaluation-harness. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inputs/gold.h"
#include "results/results_json.h"
#include "results/store_model.h"
#include "shell/json_print.h"
#include "shell/output.h"
#include "verbs/verbs.h"

typedef enum Format { FORMAT_JSONL = 0, FORMAT_CSV } Format;
static const char *const format_names[] = {[FORMAT_JSONL] = "jsonl", [FORMAT_CSV] = "csv", NULL};

typedef struct Arguments {
  int format;
  const char *results;
  bool selections, sources, no_docs, quiet;
} Arguments;

static const Option options[] = {
    {.name = "format",
     .letter = 'f',
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(Arguments, int, format),
     .value = "FORMAT",
     .choices = format_names,
     .preset = "jsonl",
     .help = "JSON lines with lm-evaluation-harness field names, or comma-separated values"},
    {.name = "no-docs",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, no_docs),
     .help = "leave the prompts (doc and arguments), which are most of the output, out of JSON "
             "lines; their hashes stay"},
    {.name = "results",
     .letter = 'r',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, results),
     .value = "FILE",
     .help = "also write a results file in the form of lm-evaluation-harness: the metrics of "
             "each task and site with standard errors, the settings and the versions"},
    {.name = "selections",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, selections),
     .help = "print only the responses that the verb select chose, each with its strategy"},
    {.name = "sources",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, sources),
     .help = "print the untouched model's response to each source prompt, instead of those to "
             "target prompts"},
    OPTION_QUIET(Arguments, quiet),
};

typedef struct Exporter {
  const Arguments *arguments;
  int max_new_tokens;
  /* The members of a line that are the same for all responses of a question, as text that begins
   * with a member's name: doc_id to task; target; and doc_hash to the last of the line. */
  int64_t question; /* -1: none */
  char *head, *target, *tail;
} Exporter;

/* ---- what was measured ----------------------------------------------------------------------- */

enum { PERPLEXITIES = 3 };
static const char *const perplexity_names[PERPLEXITIES] = {
    "perplexity_standalone", "perplexity_conditional", "perplexity_self"};

/* NaN: not measured, or nothing to measure. */
static double perplexity(const xt_store_row *row, int which) {
  const double nll[PERPLEXITIES] = {row->nll_standalone, row->nll_conditional,
                                    row->count ? -row->mean_logprob : (double)NAN};
  return exp(nll[which]);
}

/* ---- JSON lines ------------------------------------------------------------------------------ */

/* [[prompt, settings]] */
static json_t *arguments_json(const Exporter *e, const xt_question *q) {
  return json_pack("[[s, {s:b, s:i}]]", e->arguments->sources ? q->source : q->target, "do_sample",
                   0, "max_gen_toks", e->max_new_tokens);
}

static json_t *doc_json(const xt_question *q) {
  json_t *doc =
      json_pack("{s:s, s:s, s:s, s:s, s:s, s:o?}", "id", q->id, "lang", q->lang, "source_lang",
                q->source_lang, "source_prompt", q->source, "target_prompt", q->target, "gold",
                q->gold ? gold_to_json(q->gold) : json_null());
  if (!doc || !q->choice_count) return doc;
  json_t *choices = json_object();
  bool ok = true;
  for (size_t i = 0; i < q->choice_count; i++)
    ok = json_add(choices, q->choices[i].label,
                  q->choices[i].text ? json_string(q->choices[i].text) : json_null()) &&
         ok;
  if (json_add(doc, "choices", choices) && ok) return doc;
  json_decref(doc);
  return NULL;
}

/* Replaces a text by an object's members, without its braces; frees the object. */
static xt_status keep_members(char **out, json_t *object, bool whole, xt_error *error) {
  free(*out);
  *out = object && whole ? json_dumps(object, JSON_REAL_PRECISION(9)) : NULL;
  json_decref(object);
  if (!*out) return error_memory(error);
  const size_t length = strlen(*out) - 2;
  memmove(*out, *out + 1, length);
  (*out)[length] = 0;
  return XT_STATUS_OK;
}

/* The hashes are those of lm-evaluation-harness: of the doc as JSON with an indent of two spaces,
 * the prompt, and the answer. Takes `doc` over. */
static xt_status keep_tail(Exporter *e, const xt_question *q, json_t *doc, xt_error *error) {
  const char *prompt = e->arguments->sources ? q->source : q->target,
             *gold = q->gold ? q->gold : "";
  char doc_hash[XT_TEXT_HASH_SIZE], prompt_hash[XT_TEXT_HASH_SIZE], target_hash[XT_TEXT_HASH_SIZE];
  char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
  xt_text_hash(text ? text : "", text ? strlen(text) : 0, doc_hash);
  xt_text_hash(prompt, strlen(prompt), prompt_hash);
  xt_text_hash(gold, strlen(gold), target_hash);
  json_t *tail = json_object();
  bool ok = text && json_add(tail, "doc_hash", json_string(doc_hash));
  ok = json_add(tail, "prompt_hash", json_string(prompt_hash)) && ok;
  ok = json_add(tail, "target_hash", json_string(target_hash)) && ok;
  if (!e->arguments->no_docs) {
    ok = json_add(tail, "doc", json_incref(doc)) && ok;
    ok = json_add(tail, "arguments", arguments_json(e, q)) && ok;
  }
  free(text);
  json_decref(doc);
  return keep_members(&e->tail, tail, ok, error);
}

static xt_status next_question(Exporter *e, const xt_store_row *row, xt_error *error) {
  const xt_question *q = row->question;
  if (e->question == row->question_number) return XT_STATUS_OK;
  e->question = -1;
  xt_status status = keep_members(
      &e->head, json_pack("{s:s, s:s, s:s}", "doc_id", q->id, "lang", q->lang, "task", q->task),
      true, error);
  if (!status)
    status = keep_members(
        &e->target, json_pack("{s:o}", "target", q->gold ? gold_to_json(q->gold) : json_null()),
        true, error);
  if (!status) status = keep_tail(e, q, doc_json(q), error);
  if (!status) e->question = row->question_number;
  return status;
}

/* , "name": */
static void print_member_name(const char *name) {
  fputs(", \"", stdout);
  fputs(name, stdout);
  fputs("\": ", stdout);
}

static void print_text_member(const char *name, const char *text) {
  print_member_name(name);
  print_json_text(text, text ? strlen(text) : 0);
}

static void print_real_member(const char *name, double value) {
  print_member_name(name);
  print_json_real(value);
}

/* null: below 0 */
static void print_count_member(const char *name, int value) {
  print_member_name(name);
  if (value < 0)
    fputs("null", stdout);
  else
    print_json_int(value);
}

/* {"kl_untouched", "kl_source", "tracked": [[answer's kind, answer, spelling, log-probability]]} */
static void print_effects_member(const xt_store_row *row) {
  print_member_name("effects");
  if (!row->effects) {
    fputs("null", stdout);
    return;
  }
  fputs("{\"kl_untouched\": ", stdout);
  print_json_real((double)row->effects[XT_EFFECT_KL_UNTOUCHED]);
  print_real_member("kl_source", (double)row->effects[XT_EFFECT_KL_SOURCE]);
  print_member_name("tracked");
  fputs("[", stdout);
  for (size_t i = 0; i < row->tracked_count; i++) {
    const xt_tracked *one = &row->tracked[i];
    const char *texts[] = {one->kind, one->answer, one->also ? NULL : one->spelling};
    fputs(i ? ", [" : "[", stdout);
    for (int t = 0; t < 3; t++) {
      if (texts[t])
        print_json_text(texts[t], strlen(texts[t]));
      else
        fputs("null", stdout);
      fputs(", ", stdout);
    }
    print_json_real((double)row->effects[XT_EFFECT_TRACKED + i]);
    fputs("]", stdout);
  }
  fputs("]}", stdout);
}

/* {"label": log-probability}; null: not scored. */
static void print_options_member(const xt_store_row *row) {
  print_member_name("options");
  if (!row->option_sums) {
    fputs("null", stdout);
    return;
  }
  fputs("{", stdout);
  for (size_t i = 0; i < row->option_count; i++) {
    if (i) fputs(", ", stdout);
    print_json_text(row->options[i].label, strlen(row->options[i].label));
    fputs(": ", stdout);
    print_json_real(row->option_sums[i]);
  }
  fputs("}", stdout);
}

static void print_response(const xt_store_row *row) {
  print_member_name("resps");
  fputs("[[", stdout);
  print_json_text(row->text, row->text_length);
  fputs("]]", stdout);
  print_member_name("ids");
  fputs("[", stdout);
  for (size_t i = 0; i < row->count; i++) {
    if (i) fputs(", ", stdout);
    print_json_int(row->ids[i]);
  }
  fputs("]", stdout);
}

static void print_measures(const xt_store_row *row) {
  print_real_member("margin", row->margin);
  print_real_member("entropy", row->entropy);
  print_real_member("mean_entropy", row->mean_entropy);
  print_real_member("mean_logprob", row->mean_logprob);
  for (int i = 0; i < PERPLEXITIES; i++) print_real_member(perplexity_names[i], perplexity(row, i));
  print_text_member("language", row->language);
  print_real_member("language_probability", row->language_probability);
  print_effects_member(row);
  print_options_member(row);
}

static xt_status print_line(void *user, const xt_store_row *row, xt_error *error) {
  Exporter *e = user;
  const xt_status status = next_question(e, row, error);
  if (status) return status;
  fputs("{", stdout);
  fputs(e->head, stdout);
  print_text_member("site", row->site);
  print_count_member("source_layer", row->source_layer);
  print_count_member("target_layer", row->target_layer);
  print_response(row);
  print_measures(row);
  fputs(", ", stdout);
  fputs(e->target, stdout);
  fputs(", \"metrics\": {\"acc\": ", stdout);
  if (row->correct < 0)
    fputs("null", stdout);
  else
    print_json_int(row->correct);
  fputs("}", stdout);
  print_text_member("source_lang", row->question->source_lang);
  print_text_member("id", row->id);
  print_member_name("filtered_resps");
  fputs("[", stdout);
  print_json_text(row->text, row->text_length);
  fputs("], ", stdout);
  fputs(e->tail, stdout);
  if (row->strategy) print_text_member("strategy", row->strategy);
  fputs("}\n", stdout);
  return output_status(error);
}

/* ---- comma-separated values (RFC 4180) ------------------------------------------------------- */

/* Whether a spreadsheet would read a text as a formula: it begins like one and is not a number. */
static bool is_formula(const char *text, size_t length) {
  char start[64], *end;
  if (length == 0 || !memchr("=+-@\t\r", text[0], 6)) return false;
  if (length >= sizeof start) return true;
  memcpy(start, text, length);
  start[length] = 0;
  strtod(start, &end);
  return end != start + length;
}

static void print_cell(const char *text, size_t length, char end) {
  bool quoted = false;
  for (size_t i = 0; i < length; i++) quoted = quoted || strchr(",\"\r\n", text[i]) || text[i] == 0;
  if (quoted) putchar('"');
  if (is_formula(text, length)) putchar('\'');
  for (size_t i = 0; i < length; i++) {
    if (text[i] == '"') putchar('"');
    putchar(text[i]);
  }
  if (quoted) putchar('"');
  if (end) putchar(end);
}

static void print_text(const char *text) { print_cell(text, strlen(text), ','); }

/* Several answers are separated by " | ". */
static void print_gold(const char *gold) {
  char *joined = NULL;
  size_t size;
  FILE *out = strstr(gold, XT_GOLD_SEPARATOR) ? open_memstream(&joined, &size) : NULL;
  for (const char *at = gold; out && *at; at++)
    fputs(*at == XT_GOLD_SEPARATOR[0] ? " | " : (const char[]){*at, 0}, out);
  if (out && fclose(out) != 0) out = NULL;
  print_text(out ? joined : gold);
  free(joined);
}

static void print_number(double value) {
  if (isfinite(value)) printf("%.9g", value);
  putchar(',');
}

/* The options' log-probabilities as "1=-0.5", separated by " | ". */
static void print_options(const xt_store_row *row) {
  char *text = NULL;
  size_t size;
  FILE *out = row->option_sums ? open_memstream(&text, &size) : NULL;
  for (size_t i = 0; out && i < row->option_count; i++)
    fprintf(out, "%s%s=%.9g", i ? " | " : "", row->options[i].label, row->option_sums[i]);
  if (out && fclose(out) == 0) print_cell(text, size, 0);
  free(text);
}

/* Both divergences, and the log-probabilities as "label 1 ' Entail'=-0.5", separated by " | ". */
static void print_effects(const xt_store_row *row) {
  char *text = NULL;
  size_t size;
  print_number(row->effects ? (double)row->effects[XT_EFFECT_KL_UNTOUCHED] : (double)NAN);
  print_number(row->effects ? (double)row->effects[XT_EFFECT_KL_SOURCE] : (double)NAN);
  FILE *out = row->effects ? open_memstream(&text, &size) : NULL;
  for (size_t i = 0; out && i < row->tracked_count; i++)
    if (row->tracked[i].also)
      fprintf(out, "%s%s %s=%.9g", i ? " | " : "", row->tracked[i].kind, row->tracked[i].answer,
              (double)row->effects[XT_EFFECT_TRACKED + i]);
    else
      fprintf(out, "%s%s %s '%s'=%.9g", i ? " | " : "", row->tracked[i].kind,
              row->tracked[i].answer, row->tracked[i].spelling,
              (double)row->effects[XT_EFFECT_TRACKED + i]);
  if (out && fclose(out) == 0) print_cell(text, size, 0);
  free(text);
}

static xt_status print_values(void *user, const xt_store_row *row, xt_error *error) {
  (void)user;
  const xt_question *q = row->question;
  print_text(q->id);
  print_text(q->lang);
  print_text(q->task);
  print_text(row->site);
  if (row->source_layer >= 0)
    printf("%d,%d,", row->source_layer, row->target_layer);
  else
    fputs(",,", stdout);
  print_cell(row->text ? row->text : "", row->text_length, ',');
  for (size_t i = 0; i < row->count; i++) printf("%s%d", i ? " " : "", (int)row->ids[i]);
  putchar(',');
  print_number(row->margin);
  print_number(row->entropy);
  print_number(row->mean_entropy);
  print_number(row->mean_logprob);
  print_gold(q->gold ? q->gold : "");
  if (row->correct >= 0) printf("%d", row->correct);
  putchar(',');
  print_text(q->source_lang);
  print_text(row->id);
  for (int i = 0; i < PERPLEXITIES; i++) print_number(perplexity(row, i));
  print_text(row->language ? row->language : "");
  print_number(row->language_probability);
  print_effects(row);
  putchar(',');
  print_options(row);
  putchar(row->strategy ? ',' : '\n');
  if (row->strategy) print_cell(row->strategy, strlen(row->strategy), '\n');
  return output_status(error);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  Exporter exporter = {.arguments = arguments, .question = -1};
  xt_store *store = NULL;
  xt_store_info info;
  xt_error error;
  xt_status status;
  if (cli->rest_count != 1) return cli_usage(cli, "give one results file");
  if (arguments->selections && arguments->sources)
    return cli_usage(cli, "--sources: cannot be combined with --selections");
  TRY_DONE(xt_store_open(cli->rest[0], XT_STORE_READ, &store, &error));
  TRY_DONE(xt_store_get_info(store, &info, &error));
  exporter.max_new_tokens = info.max_new_tokens;
  TRY_DONE(store_note_coverage(store, arguments->quiet, &error));
  if (arguments->results) TRY_DONE(results_json_write(store, arguments->results, &error));
  if (arguments->format == FORMAT_CSV)
    printf("doc_id,lang,task,site,source_layer,target_layer,response,ids,margin,entropy,mean_"
           "entropy,mean_logprob,target,acc,source_lang,id,"
           "perplexity_standalone,perplexity_conditional,perplexity_self,language,language_"
           "probability,kl_untouched,kl_source,tracked,options%s\n",
           arguments->selections ? ",strategy" : "");
  TRY_DONE((arguments->selections ? xt_store_read_selections
            : arguments->sources  ? xt_store_read_sources
                                  : xt_store_read)(
      store, arguments->format == FORMAT_CSV ? print_values : print_line, &exporter, &error));
done:
  free(exporter.head);
  free(exporter.target);
  free(exporter.tail);
  xt_store_close(store);
  return cli_exit(cli, status, &error);
}

const Verb verb_export = {
    .name = "export",
    .summary = "print a results file as JSON lines or CSV, one line per response",
    .about = "Prints every response of a results file, in an order that depends on the content "
             "of the file alone, not on how it was made. Fields: the question (doc_id, lang, "
             "task), the transplant (site, source_layer, target_layer; vanilla and nulls for the "
             "untouched run), the response (resps, ids), margin (smallest of the response), "
             "entropy (of the first token, in nats), mean_entropy and mean_logprob over the "
             "tokens, what the verb metrics measured (perplexity_standalone, "
             "perplexity_conditional, language, language_probability; null where nothing was "
             "measured), perplexity_self, effects (of the first token, as the sweep stored them: "
             "kl_untouched, kl_source, and the log-probabilities of the tracked answers), options "
             "(the log-probability of each option's text, once the verb options has scored it), "
             "target "
             "(the gold answer), metrics.acc by the task's "
             "own scoring, id (equal everywhere for the same model, settings, question and "
             "transplant), and lm-evaluation-harness' filtered_resps, doc, arguments, doc_hash, "
             "prompt_hash and target_hash.",
    .example = "xtransplant export xnli.db --format csv > xnli.csv",
    .rest_name = "RESULTS.db",
    .rest_max = 1,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
