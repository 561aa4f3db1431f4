/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/shard.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS_MOST 1000000

/* ---- the environment ------------------------------------------------------------------------- */

/* Variables of those that start many processes: which one this is, of how many, and the number of
 * the first (NULL: 0) and from one to the next (NULL: 1). */
typedef struct Starter {
  const char *index, *count, *first, *step;
} Starter;

/* Independent tasks, each of which may start ranks; then ranks, the innermost starter first: mpirun
 * within a Slurm job leaves Slurm's variables there. */
static const Starter tasks[] = {{"SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT",
                                 "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP"},
                                {"JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", NULL, NULL},
                                {NULL, NULL, NULL, NULL}};
static const Starter ranks[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", NULL, NULL},
                                {"PMI_RANK", "PMI_SIZE", NULL, NULL},
                                {"SLURM_PROCID", "SLURM_NTASKS", NULL, NULL},
                                {NULL, NULL, NULL, NULL}};

static bool read_number(const char *text, long *out) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  *out = strtol(text, &end, 10);
  return *end == '\0';
}

/* A variable's value; `preset` without a name, or (not negative) where it is not set. */
static int variable(const Cli *cli, const char *name, long preset, long *out) {
  const char *text = name ? getenv(name) : NULL;
  *out = preset;
  if (!name || ((!text || !*text) && preset >= 0)) return EXIT_OK;
  if (!text || !*text)
    return cli_usage(cli, "--shard auto: %s is not set; it has to be the number of shards", name);
  if (!read_number(text, out))
    return cli_usage(cli, "--shard auto: %s is '%.40s', not a number", name, text);
  return EXIT_OK;
}

/* sbatch sets a rank for the batch script itself, which runs once. */
static bool only_a_script(const Starter *s) {
  const char *where = getenv("ENVIRONMENT");
  return strcmp(s->index, "SLURM_PROCID") == 0 && !getenv("SLURM_STEP_NUM_TASKS") && where &&
         strcmp(where, "BATCH") == 0;
}

/* Makes the shard the k-th of those that the table's first set variables split it into. */
static int split(const Cli *cli, const Starter *table, Shard *shard) {
  long index, count, first, step;
  const Starter *s = table;
  while (s->index && (!getenv(s->index) || only_a_script(s))) s++;
  if (!s->index) return EXIT_OK;
  int code = variable(cli, s->index, -1, &index);
  if (code == EXIT_OK) code = variable(cli, s->count, -1, &count);
  if (code == EXIT_OK) code = variable(cli, s->first, 0, &first);
  if (code == EXIT_OK) code = variable(cli, s->step, 1, &step);
  if (code != EXIT_OK) return code;
  const long k = step > 0 ? (index - first) / step : -1;
  if (index < first || k < 0 || k >= count || first + k * step != index)
    return cli_usage(cli,
                     "--shard auto: %s is %ld, none of %ld numbers from %ld on with a step of %ld; "
                     "give --shard K/N",
                     s->index, index, count, first, step);
  if (count > SHARDS_MOST / shard->n)
    return cli_usage(cli, "--shard auto: %s is %ld; %d shards at most are possible", s->count,
                     count, SHARDS_MOST);
  shard->k = (int)((shard->k - 1) * count + k + 1);
  shard->n = (int)(shard->n * count);
  const size_t used = strlen(shard->by);
  snprintf(shard->by + used, sizeof shard->by - used, "%s%s and %s", used ? ", " : "", s->index,
           s->count);
  return EXIT_OK;
}

static int read_environment(const Cli *cli, Shard *shard) {
  int code = split(cli, tasks, shard);
  if (code == EXIT_OK) code = split(cli, ranks, shard);
  if (code == EXIT_OK && !shard->by[0])
    return cli_usage(cli, "--shard auto: no cluster's variables are set, such as "
                          "SLURM_ARRAY_TASK_ID, SLURM_PROCID, OMPI_COMM_WORLD_RANK, PMI_RANK or "
                          "JOB_COMPLETION_INDEX; give --shard K/N");
  return code;
}

/* ---- what is given --------------------------------------------------------------------------- */

/* "2/8" */
static bool parse(const char *text, Shard *shard) {
  char *end;
  if (*text < '0' || *text > '9') return false;
  const long k = strtol(text, &end, 10);
  long n;
  if (*end != '/' || !read_number(end + 1, &n) || k < 1 || n < k || n > SHARDS_MOST) return false;
  shard->k = (int)k;
  shard->n = (int)n;
  return true;
}

int shard_read(const Cli *cli, const char *text, Shard *out) {
  *out = (Shard){.k = 1, .n = 1};
  if (!text) return EXIT_OK;
  if (strcmp(text, "auto") == 0) return read_environment(cli, out);
  if (parse(text, out)) return EXIT_OK;
  return cli_usage(cli, "--shard: '%s' is not auto, nor K/N with K from 1 to N", text);
}

char *shard_name(const char *name, const Shard *shard) {
  const size_t size = 4 * strlen(name) + 8; /* two characters become seven at most */
  char *out = malloc(size);
  size_t n = 0;
  if (!out) return NULL;
  for (const char *c = name; *c; c++) {
    if (c[0] == '%' && (c[1] == 'k' || c[1] == 'n'))
      n += (size_t)snprintf(out + n, size - n, "%d", *++c == 'k' ? shard->k : shard->n);
    else
      out[n++] = *c;
  }
  out[n] = '\0';
  return out;
}

/* ---- earlier stores -------------------------------------------------------------------------- */

json_t *shard_command(const char *provenance) {
  json_t *about = json_loads(provenance, 0, NULL);
  const char *text = json_string_value(json_object_get(about, "command"));
  json_t *command = text ? json_loads(text, 0, NULL) : NULL;
  json_decref(about);
  return command;
}

bool shard_of_command(const json_t *command, Shard *out) {
  const char *text = json_string_value(json_object_get(command, "shard"));
  *out = (Shard){.k = 1, .n = 1};
  if (text && !json_object_get(command, "deal")) out->deal = XT_DEAL_TURNS;
  return !text || parse(text, out);
}

static xt_status look_at_run(void *user, const char *started, const char *provenance,
                             xt_error *error) {
  Shard begun;
  (void)started;
  (void)error;
  json_t *command = shard_command(provenance);
  if (shard_of_command(command, &begun) && begun.deal == XT_DEAL_TURNS)
    ((Shard *)user)->deal = XT_DEAL_TURNS;
  json_decref(command);
  return XT_STATUS_OK;
}

xt_status shard_as_begun(xt_store *store, Shard *shard, xt_error *error) {
  return shard->n > 1 ? xt_store_read_runs(store, look_at_run, shard, error) : XT_STATUS_OK;
}
