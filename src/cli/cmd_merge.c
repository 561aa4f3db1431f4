/* SPDX-License-Identifier: Apache-2.0 */
/* merge: join the results files of shards into one. */
#include "output.h"
#include "verbs.h"

typedef struct Arguments {
  bool quiet, json;
} Arguments;

static const Option options[] = {
    OPTION_QUIET(Arguments, quiet),
    OPTION_JSON(Arguments, json),
};

static xt_status print_summary(const Arguments *arguments, const char *path, size_t inputs,
                               xt_error *error) {
  xt_store *store;
  xt_store_info info;
  xt_status status = xt_store_open(path, XT_STORE_READ, &store, error);
  if (status) return status;
  status = xt_store_get_info(store, &info, error);
  if (!status)
    cli_note(arguments->quiet,
             "%s: %lld responses and %lld untouched runs of %lld questions, from %zu files", path,
             (long long)info.responses, (long long)info.vanilla, (long long)info.questions, inputs);
  if (!status && arguments->json) {
    json_t *object = json_object();
    bool ok = json_add(object, "output", json_string(path));
    ok = json_add(object, "model_hash", json_string(info.model_hash)) && ok;
    ok = json_add(object, "questions", json_integer(info.questions)) && ok;
    ok = json_add(object, "responses", json_integer(info.responses)) && ok;
    ok = json_add(object, "vanilla", json_integer(info.vanilla)) && ok;
    status = json_print(ok ? object : NULL, error);
    if (!ok) json_decref(object);
  }
  xt_store_close(store);
  return status;
}

static int run(const Cli *cli, void *opaque) {
  const Arguments *arguments = opaque;
  xt_error error;
  if (cli->rest_count < 2)
    return cli_usage(cli,
                     "give the file to write, then the files to join: merge OUT.db A.db B.db ...");
  xt_status status = xt_store_merge(cli->rest[0], cli->rest + 1, cli->rest_count - 1, &error);
  if (!status) status = print_summary(arguments, cli->rest[0], cli->rest_count - 1, &error);
  return cli_exit(cli, status, &error);
}

const Verb verb_merge = {
    .name = "merge",
    .summary = "join the results files of shards into one",
    .about = "Joins results files, such as those of sweep --shard, into a new one. Files of "
             "different models or settings are refused, and so are files that have different "
             "responses for the same transplant. The new file is written completely or not at "
             "all.",
    .example = "xtransplant merge xnli.db shard1.db shard2.db shard3.db shard4.db",
    .rest_name = "OUT.db A.db B.db ...",
    .rest_max = 10000,
    OPTION_TABLE(options),
    .arguments_size = sizeof(Arguments),
    .run = run,
};
