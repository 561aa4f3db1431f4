/* SPDX-License-Identifier: Apache-2.0 */
/* What computed a store's responses, as far as their bits depend on it. In float32 every device
 * gives the same, but those that do not promise it; in other types only one kind of device with one
 * library does, and of the CPU's kernels only those that multiply by the same instruction, so that
 * responses of another are refused. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/store_parts.h"

static bool has_feature(const json_t *processor, const char *name) {
  const json_t *features = json_object_get(processor, "features"), *each;
  size_t i;
  json_array_foreach(features, i, each) if (json_is_string(each) &&
                                            strcmp(json_string_value(each), name) == 0) return true;
  return false;
}

/* What the CPU multiplies bfloat16 by, as cpu_backend.c chooses it: the float kernels of every
 * processor have the same bits. */
static const char *instruction_of(const char *kernels, const json_t *processor) {
  return strcmp(kernels, "cpu:amx") == 0         ? "AMX"
         : strcmp(kernels, "cpu:reference") == 0 ? "reference"
         : strcmp(kernels, "cpu:avx512") == 0 && has_feature(processor, "avx512_bf16")
             ? "AVX512_BF16"
             : "float32 instructions";
}

void store_kind_of(const char *provenance, bool float32, char kind[STORE_KIND_SIZE]) {
  json_t *root = NULL;
  json_parse(provenance, strlen(provenance), NULL, &root, NULL); /* NULL: nothing is known */
  const json_t *processor = json_object_get(root, "processor");
  const char *kernels = json_string_value(json_object_get(processor, "kernels")),
             *device = json_string_value(json_object_get(processor, "device"));
  const bool inexact = json_object_get(processor, "inexact");
  kind[0] = 0;
  if (kernels && float32 && !inexact)
    snprintf(kind, STORE_KIND_SIZE, "%s", STORE_KIND_EXACT);
  else if (kernels && strncmp(kernels, "cpu", 3) == 0)
    snprintf(kind, STORE_KIND_SIZE, "cpu (%s)", instruction_of(kernels, processor));
  else if (kernels)
    snprintf(kind, STORE_KIND_SIZE, "%.*s%s%.100s%s%.60s%s", (int)strcspn(kernels, ":,"), kernels,
             device ? " (" : "", device ? device : "", device ? ")" : "",
             kernels + strcspn(kernels, ","), inexact ? ", inexact" : "");
  json_decref(root);
}

static bool in_float32(const xt_store *s) {
  return strcmp(s->settings.of[STORE_COMPUTE], xt_compute_name(XT_COMPUTE_F32)) == 0;
}

xt_status store_kind(xt_store *s, char kind[STORE_KIND_SIZE], xt_error *error) {
  sqlite3_stmt *statement;
  kind[0] = 0;
  if (!s->settings.of[STORE_MODEL_HASH][0]) return XT_STATUS_OK;
  TRY(db_prepare(&s->db, "SELECT provenance FROM runs ORDER BY id", &statement, error));
  /* one run on an inexact device is enough */
  while ((!kind[0] || strcmp(kind, STORE_KIND_EXACT) == 0) &&
         sqlite3_step(statement) == SQLITE_ROW) {
    const char *provenance = db_text(statement, 0);
    char of_run[STORE_KIND_SIZE];
    store_kind_of(provenance ? provenance : "", in_float32(s), of_run);
    if (of_run[0]) memcpy(kind, of_run, sizeof of_run);
  }
  sqlite3_finalize(statement);
  return XT_STATUS_OK; /* a file that cannot be read says so where its responses are */
}

xt_status store_check_kind(xt_store *s, const char *provenance, xt_error *error) {
  char made[STORE_KIND_SIZE], now[STORE_KIND_SIZE];
  TRY(store_kind(s, made, error));
  store_kind_of(provenance ? provenance : "{}", in_float32(s), now);
  if (!made[0] || !now[0] || strcmp(made, now) == 0) return XT_STATUS_OK;
  return err_set(
      error, XT_STATUS_ARGUMENT, s->db.path, "kernels", -1,
      "the store's results were made in %s by %s, not by %s, which gives other bits in this type. "
      "Take the same%s, or another results file",
      s->settings.of[STORE_COMPUTE], made, now,
      strncmp(made, "cpu", 3) == 0 && strncmp(now, "cpu", 3) == 0 ? " (--kernels)" : "");
}
