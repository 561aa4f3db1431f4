/* SPDX-License-Identifier: Apache-2.0 */
/* merge: join the results files of shards into one. */
#include "inputs/file_list.h"
#include "inputs/missing_shards.h"
#include "shell/output.h"
#include "shell/progress.h"
#include "verbs/verbs.h"

typedef struct Arguments {
  bool quiet, json, skip_damaged;
  int progress;
} Arguments;

static const Option options[] = {
    {.name = "skip-damaged",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(Arguments, bool, skip_damaged),
     .help = "name the files that are missing or damaged and join the others; the exit code is "
             "then 1"},
    OPTION_PROGRESS(Arguments, progress),
    OPTION_QUIET(Arguments, quiet),
    OPTION_JSON(Arguments, json),
};

static xt_status print_summary(const Arguments *arguments, const char *path, size_t inputs,
                               xt_error *error) {
  xt_store *store;
  xt_store_info info;
  json_t *missing = NULL;
  xt_status status = xt_store_open(path, XT_STORE_READ, &store, error);
  if (status) return status;
  status = xt_store_get_info(store, &info, error);
  if (!status) status = missing_shards_find(store, info.questions, &missing, error);
  if (!status) {
    cli_note(arguments->quiet,
             "%s: %lld responses and %lld untouched runs of %lld questions, from %zu files", path,
             (long long)info.responses, (long long)info.vanilla, (long long)info.questions, inputs);
    missing_shards_note(arguments->quiet, missing);
  }
  if (!status && arguments->json) {
    json_t *object = json_object();
    bool ok = json_add(object, "output", json_string(path));
    ok = json_add(object, "model_hash", json_string(info.model_hash)) && ok;
    ok = json_add(object, "questions", json_integer(info.questions)) && ok;
    ok = json_add(object, "responses", json_integer(info.responses)) && ok;
    ok = json_add(object, "vanilla", json_integer(info.vanilla)) && ok;
    ok = json_add(object, "missing_shards", json_incref(missing)) && ok;
    status = json_print(ok ? object : NULL, error);
    if (!ok) json_decref(object);
  }
  json_decref(missing);
  xt_store_close(store);
  return status;
}

typedef struct Merge {
  const Arguments *arguments;
  FileList files;
  Progress line;
  size_t left_out;
} Merge;

static bool leave_out(void *user, const char *input, const xt_error *why) {
  Merge *m = user;
  char line[1400];
  (void)input;
  if (!m->arguments->skip_damaged) return false;
  progress_break(&m->line);
  cli_note(false, "left out: %s", xt_error_format(why, line, sizeof line));
  m->left_out++;
  return true;
}

static void show_progress(void *user, size_t done, size_t count) {
  Merge *m = user;
  if (progress_due(&m->line))
    progress_print(&m->line, (double)done / (double)count, "%zu/%zu files", done, count);
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  Merge m = {.arguments = arguments};
  xt_error error;
  xt_status status = XT_STATUS_OK;
  if (cli->rest_count < 2)
    return cli_usage(
        cli, "give the file to write and then the files to join: merge OUT.db A.db B.db ...");
  for (size_t i = 1; i < cli->rest_count && !status; i++)
    status = file_list_add(&m.files, cli->rest[i], ".db", &error);
  const xt_store_merge_options how = {
      .leave_out = leave_out, .progress = show_progress, .user = &m};
  progress_begin(&m.line, arguments->progress, arguments->quiet);
  if (!status)
    status = xt_store_merge_with(cli->rest[0], (const char *const *)m.files.names, m.files.count,
                                 &how, &error);
  progress_end(&m.line);
  if (!status) status = print_summary(arguments, cli->rest[0], m.files.count - m.left_out, &error);
  file_list_deinit(&m.files);
  const int code = cli_exit(cli, status, &error);
  return code == EXIT_OK && m.left_out ? EXIT_FAILED : code;
}

const Verb verb_merge = {
    .name = "merge",
    .summary = "join the results files of shards into one",
    .about = "Joins results files, such as those of sweep --shard, into a new one. Files of "
             "different models or settings are refused, and so are files that have different "
             "responses for the same transplant. A folder stands for its *.db files. The new file "
             "appears whole or not at all. Shards of a sweep that none of the files has are named.",
    .example = "xtransplant merge xnli.db shard1.db shard2.db shard3.db shard4.db",
    .rest_name = "OUT.db A.db B.db ...",
    .rest_max = 10000,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
