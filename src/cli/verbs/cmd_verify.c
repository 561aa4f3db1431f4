/* SPDX-License-Identifier: Apache-2.0 */
/* verify: compares this engine with dumps from Hugging Face transformers. */
#include "shell/output.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  ModelArguments model;
  const char *reference;
} Arguments;

static const Option options[] = {
    OPTION_MODEL(Arguments, model),
    {.name = "reference",
     .letter = 'r',
     .type = OPTION_TEXT,
     .field = OPTION_FIELD(Arguments, const char *, reference),
     .value = "DIR",
     .required = true,
     .help = "the directory with reference.json and the dumps that it names"},
    OPTIONS_COMPUTE(Arguments, model),
    OPTION_QUIET(Arguments, model.quiet),
    OPTION_JSON(Arguments, model.json),
};

/* Rows are printed immediately as text, or collected as JSON. */
typedef struct Printer {
  json_t *rows; /* NULL for text */
  bool ok;
  size_t count, failed;
} Printer;

static void take_row(void *user, const xt_verify_row *row) {
  Printer *printer = user;
  const double ratio = row->scale > 0 ? row->largest / row->scale : row->largest;
  printer->count++;
  printer->failed += !row->pass;
  if (!printer->rows) {
    if (printer->count == 1)
      printf("%-44s %12s %12s %10s\n", "tap", "largest diff", "scale", "ratio");
    printf("%-44s %12.4g %12.4g %10.2e  %s\n", row->name, row->largest, row->scale, ratio,
           row->pass ? "PASS" : "FAIL");
    return;
  }
  json_t *object = json_object();
  bool ok = json_add(object, "name", json_string(row->name));
  ok = json_add(object, "largest", json_number(row->largest)) && ok;
  ok = json_add(object, "scale", json_number(row->scale)) && ok;
  ok = json_add(object, "ratio", json_number(ratio)) && ok;
  ok = json_add(object, "pass", json_boolean(row->pass)) && ok;
  if (!ok) {
    json_decref(object);
    object = NULL;
  }
  printer->ok = json_array_append_new(printer->rows, object) == 0 && printer->ok;
}

static xt_status print_json(Printer *printer, bool passed, xt_error *error) {
  json_t *object = json_object();
  bool ok = json_add(object, "passed", json_boolean(passed)) && printer->ok;
  ok = json_add(object, "rows", json_incref(printer->rows)) && ok;
  if (ok) return json_print(object, error);
  json_decref(object);
  return error_memory(error);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  LoadedModel model = {0};
  Printer printer = {.ok = true};
  bool passed = false;
  xt_error error;
  xt_status status = XT_STATUS_OK;
  if (arguments->model.json && !(printer.rows = json_array()))
    return cli_exit(cli, error_memory(&error), &error);
  TRY_DONE(model_describe(&arguments->model, &model, &error));
  TRY_DONE(model_load(&arguments->model, &model, &error));
  TRY_DONE(
      xt_session_verify(model.session, arguments->reference, take_row, &printer, &passed, &error));
  if (printer.rows)
    TRY_DONE(print_json(&printer, passed, &error));
  else
    printf("%s: %zu of %zu within tolerance\n", passed ? "PASS" : "FAIL",
           printer.count - printer.failed, printer.count);
done:
  json_decref(printer.rows);
  model_deinit(&model);
  if (status) return cli_exit(cli, status, &error);
  return passed ? EXIT_OK : EXIT_FAILED;
}

const Verb verb_verify = {
    .name = "verify",
    .summary = "compare a model's values with dumps of Hugging Face transformers",
    .about =
        "Runs every case of the reference directory and compares taps, logits and greedy tokens. "
        "Prints a line for each tap: the largest absolute difference, the tap's largest absolute "
        "value (scale), their ratio, and whether that is within the tolerance. For greedy tokens "
        "the difference is the number of sequences that differ. The exit code is 1 when any "
        "comparison fails.",
    .example = "xtransplant verify -m TinyLlama-1.1B --reference dumps/tinyllama",
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
