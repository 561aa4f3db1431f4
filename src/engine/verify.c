/* SPDX-License-Identifier: Apache-2.0 */
/* Comparison with reference dumps made from Hugging Face transformers (docs/FORMATS.md). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file_map.h"
#include "base/json.h"
#include "base/number.h"
#include "engine/session.h"
#include "files/checkpoint.h"
#include "xtransplant/verify.h"

#define TOLERANCE 5e-5 /* of a tap's largest value: float32 sums in another order differ by less */
#define FORMAT 1

typedef struct Prompt {
  const char *name;
  int32_t *ids;
  size_t count;
  xt_taps *taps; /* ours */
} Prompt;

typedef struct Verify {
  xt_session *session;
  const char *directory, *file;
  Arena arena;
  json_t *root;
  Prompt *prompts;
  size_t prompt_count;
  void (*row)(void *user, const xt_verify_row *row);
  void *user;
  bool passed;
} Verify;

static void report(Verify *v, const char *name, double largest, double scale, bool pass) {
  xt_verify_row row = {.largest = largest, .scale = scale, .pass = pass};
  snprintf(row.name, sizeof row.name, "%s", name);
  v->passed &= pass;
  if (v->row) v->row(v->user, &row);
}

static xt_status bad(const Verify *v, const char *field, const char *message, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, v->file, field, -1, "%s", message);
}

static xt_status read_ids(Verify *v, const json_t *array, const char *field, int32_t **ids,
                          size_t *count, xt_error *error) {
  if (!json_is_array(array)) return bad(v, field, "is missing or not an array of ids", error);
  *count = json_array_size(array);
  TRY(ARENA_ALLOC(&v->arena, ids, *count + 1, error));
  for (size_t i = 0; i < *count; i++) {
    const json_t *id = json_array_get(array, i);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
      return bad(v, field, "has an element that is not an id", error);
    (*ids)[i] = (int32_t)json_integer_value(id);
  }
  return XT_STATUS_OK;
}

static xt_status find_prompt(const Verify *v, const json_t *entry, const char *key,
                             const Prompt **out, xt_error *error) {
  const char *name = json_string_value(json_object_get(entry, key));
  *out = NULL;
  for (size_t i = 0; name && i < v->prompt_count; i++)
    if (strcmp(v->prompts[i].name, name) == 0) {
      *out = &v->prompts[i];
      return XT_STATUS_OK;
    }
  return bad(v, key, "names no prompt of the file", error);
}

/* ---- taps ------------------------------------------------------------------------------------ */

static xt_status compare_values(Verify *v, const Checkpoint *dump, const Prompt *p,
                                const char *tensor, const float *ours, size_t count,
                                xt_error *error) {
  const Tensor *t = checkpoint_find(dump, tensor);
  if (!t || t->dtype != DTYPE_F32 || t->bytes != count * sizeof(float))
    return err_set(error, XT_STATUS_INPUT, t ? t->map->path : v->file, tensor, -1,
                   "is missing or does not fit the model; expected %zu F32 values", count);
  double largest = 0, scale = 0;
  for (size_t i = 0; i < count; i++) {
    float reference;
    memcpy(&reference, (const uint8_t *)t->data + i * sizeof reference, sizeof reference);
    const double difference = fabs((double)ours[i] - (double)reference);
    if (!(difference <= largest)) largest = difference; /* a NaN counts as largest */
    if (fabs((double)reference) > scale) scale = fabs((double)reference);
  }
  char name[96];
  snprintf(name, sizeof name, "%s %s", p->name, tensor);
  report(v, name, largest, scale, largest <= TOLERANCE * scale);
  return XT_STATUS_OK;
}

static xt_status compare_taps(Verify *v, const json_t *entry, const Prompt *p, xt_error *error) {
  const ModelConfig *c = &v->session->model->config;
  const char *file = json_string_value(json_object_get(entry, "taps"));
  if (!file || strchr(file, '/'))
    return bad(v, "taps", "must name a file beside reference.json", error);
  char *path;
  Checkpoint *dump;
  TRY(file_join(v->directory, file, &path, error));
  xt_status status = checkpoint_open_file(path, &dump, error);
  free(path);
  TRY(status);
  status = compare_values(v, dump, p, "embed", xt_taps_embed(p->taps), (size_t)c->width, error);
  for (int tap = 0; tap < XT_TAP_COUNT && !status; tap++) /* the layers of a tap follow one
                                                             another */
    status = compare_values(v, dump, p, engine_tap_names[tap], xt_taps_get(p->taps, (xt_tap)tap, 0),
                            (size_t)c->layers * (size_t)c->width, error);
  if (!status)
    status = compare_values(v, dump, p, "logits", xt_taps_logits(p->taps), (size_t)c->vocab, error);
  checkpoint_close(dump);
  return status;
}

static xt_status load_prompts(Verify *v, xt_error *error) {
  const json_t *list = json_object_get(v->root, "prompts");
  if (!json_is_array(list)) return bad(v, "prompts", "is missing or not an array", error);
  TRY(ARENA_ALLOC(&v->arena, &v->prompts, json_array_size(list) + 1, error));
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *entry = json_array_get(list, i);
    Prompt *p = &v->prompts[i];
    p->name = json_string_value(json_object_get(entry, "name"));
    if (!p->name) return bad(v, "prompts", "has an entry without a name", error);
    TRY(read_ids(v, json_object_get(entry, "ids"), "prompts.ids", &p->ids, &p->count, error));
    const xt_request request = {.ids = p->ids, .count = p->count};
    TRY(xt_session_capture(v->session, &request, &p->taps, error));
    v->prompt_count++;
    TRY(compare_taps(v, entry, p, error));
  }
  return XT_STATUS_OK;
}

/* ---- greedy tokens --------------------------------------------------------------------------- */

/* Cases of one kind run as one call per penalty, because many requests at once is the important
 * case. */
typedef struct Cases {
  xt_request *requests;
  const json_t **entries;
  xt_generation *out;
  size_t count;
} Cases;

static xt_status read_transplant(Verify *v, const json_t *entry, xt_request *request,
                                 xt_error *error) {
  const Prompt *source, *target;
  xt_intervention *iv;
  xt_site site;
  int64_t from = -1, to = -1;
  const char *name = json_string_value(json_object_get(entry, "site"));
  TRY(find_prompt(v, entry, "source", &source, error));
  TRY(find_prompt(v, entry, "target", &target, error));
  TRY(json_get_int(entry, "source_layer", 0, v->session->model->config.layers - 1, &from, v->file,
                   error));
  TRY(json_get_int(entry, "target_layer", 0, v->session->model->config.layers - 1, &to, v->file,
                   error));
  if (!name || from < 0 || to < 0)
    return bad(v, "transplants", "an entry lacks site, source_layer or target_layer", error);
  TRY(xt_site_parse(name, &site, error));
  if (site.control != XT_CONTROL_NONE)
    return bad(v, "transplants", "an entry's site has a control", error);
  TRY(ARENA_ALLOC(&v->arena, &iv, 1, error));
  *iv = (xt_intervention){.write = site.write,
                          .layer = (int)to,
                          .position = XT_POSITION_LAST,
                          .value = xt_taps_get(source->taps, site.read, (int)from)};
  *request = (xt_request){
      .ids = target->ids, .count = target->count, .interventions = iv, .intervention_count = 1};
  return XT_STATUS_OK;
}

static xt_status read_rule(Verify *v, const json_t *item, xt_intervention *iv, xt_error *error) {
  static const char *const rules[] = {"replace", "add", "blend"};
  const ModelConfig *c = &v->session->model->config;
  const char *read = json_string_value(json_object_get(item, "read")),
             *write = json_string_value(json_object_get(item, "write"));
  const char *rule = json_string_value(json_object_get(item, "rule"));
  const Prompt *source;
  int64_t from = 0, to = 0, position = -1;
  double alpha = 1;
  int read_tap = -1, write_tap = -1, rule_index = -1;
  TRY(find_prompt(v, item, "source", &source, error));
  TRY(json_get_int(item, "source_layer", 0, c->layers - 1, &from, v->file, error));
  TRY(json_get_int(item, "layer", 0, c->layers - 1, &to, v->file, error));
  TRY(json_get_int(item, "position", -1, INT32_MAX, &position, v->file, error));
  TRY(json_get_real(item, "alpha", -1e6, 1e6, &alpha, v->file, error));
  for (int i = 0; i < XT_TAP_COUNT; i++) {
    if (read && strcmp(read, engine_tap_names[i]) == 0) read_tap = i;
    if (write && strcmp(write, engine_tap_names[i]) == 0) write_tap = i;
  }
  for (int i = 0; i < 3; i++)
    if (rule && strcmp(rule, rules[i]) == 0) rule_index = i;
  if (read_tap < 0 || write_tap < 0 || rule_index < 0)
    return bad(v, "interventions", "an entry lacks a known read, write or rule", error);
  *iv = (xt_intervention){.write = (xt_tap)write_tap,
                          .layer = (int)to,
                          .position = (int)position,
                          .rule = (xt_rule)rule_index,
                          .alpha = (float)alpha,
                          .value = xt_taps_get(source->taps, (xt_tap)read_tap, (int)from)};
  return XT_STATUS_OK;
}

static xt_status read_interventions(Verify *v, const json_t *entry, xt_request *request,
                                    xt_error *error) {
  const json_t *list = json_object_get(entry, "list");
  const Prompt *target;
  xt_intervention *ivs;
  TRY(find_prompt(v, entry, "target", &target, error));
  if (!json_is_array(list))
    return bad(v, "interventions.list", "is missing or not an array", error);
  TRY(ARENA_ALLOC(&v->arena, &ivs, json_array_size(list) + 1, error));
  for (size_t i = 0; i < json_array_size(list); i++)
    TRY(read_rule(v, json_array_get(list, i), &ivs[i], error));
  *request = (xt_request){.ids = target->ids,
                          .count = target->count,
                          .interventions = ivs,
                          .intervention_count = json_array_size(list)};
  return XT_STATUS_OK;
}

static xt_status read_greedy(Verify *v, const json_t *entry, xt_request *request, xt_error *error) {
  const Prompt *p;
  TRY(find_prompt(v, entry, "prompt", &p, error));
  *request = (xt_request){.ids = p->ids, .count = p->count};
  return XT_STATUS_OK;
}

static double entry_penalty(const json_t *entry) {
  const json_t *value = json_object_get(entry, "repetition_penalty");
  return json_is_number(value) ? json_number_value(value) : 1.0;
}

/* Differing tokens and the largest margin and entropy differences of one penalty's cases. */
static xt_status compare_cases(Verify *v, const char *kind, double penalty, const Cases *c,
                               xt_error *error) {
  const xt_generate_options options = {.repetition_penalty = penalty};
  size_t different = 0;
  double margin = 0, margin_scale = 0;
  TRY(xt_session_generate(v->session, c->requests, c->count, &options, c->out, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < c->count && !status; i++) {
    const xt_generation *g = &c->out[i];
    int32_t *ids;
    size_t count;
    status = read_ids(v, json_object_get(c->entries[i], "ids"), "ids", &ids, &count, error);
    if (status) break;
    const bool same = count == g->count && memcmp(ids, g->ids, count * sizeof *ids) == 0;
    different += !same;
    const json_t *margins = json_object_get(c->entries[i], "margins");
    if (margins && (!json_is_array(margins) || json_array_size(margins) != count)) {
      status = bad(v, "margins", "is not an array with one number per id", error);
      break;
    }
    for (size_t k = 0; same && margins && k < count; k++) {
      const double reference = json_number_value(json_array_get(margins, k));
      const double difference = fabs(reference - (double)g->margins[k]);
      if (!(difference <= margin)) margin = difference;
      if (reference > margin_scale) margin_scale = reference;
    }
  }
  char name[96];
  number_print(name, sizeof name, "%s, penalty %g: %zu sequences", kind, penalty, c->count);
  report(v, name, (double)different, (double)c->count, different == 0);
  if (margin_scale > 0) { /* logits, and therefore margins, can be tens of times as large as the
                             best margin */
    number_print(name, sizeof name, "%s, penalty %g: margins", kind, penalty);
    report(v, name, margin, margin_scale, margin <= 10 * TOLERANCE * margin_scale);
  }
  for (size_t i = 0; i < c->count; i++) xt_generation_deinit(&c->out[i]);
  return status;
}

static xt_status verify_kind(Verify *v, const char *kind,
                             xt_status (*read)(Verify *, const json_t *, xt_request *, xt_error *),
                             xt_error *error) {
  const json_t *list = json_object_get(v->root, kind);
  const size_t n = json_array_size(list);
  bool *done;
  Cases cases = {0};
  TRY(ARENA_ALLOC(&v->arena, &cases.requests, n + 1, error));
  TRY(ARENA_ALLOC(&v->arena, &cases.entries, n + 1, error));
  TRY(ARENA_ALLOC(&v->arena, &cases.out, n + 1, error));
  TRY(ARENA_ALLOC(&v->arena, &done, n + 1, error));
  for (size_t first = 0; first < n; first++) {
    if (done[first]) continue;
    const double penalty = entry_penalty(json_array_get(list, first));
    cases.count = 0;
    for (size_t i = first; i < n; i++) {
      const json_t *entry = json_array_get(list, i);
      const double other = entry_penalty(entry);
      if (done[i] || other < penalty || other > penalty) continue;
      done[i] = true;
      TRY(read(v, entry, &cases.requests[cases.count], error));
      cases.entries[cases.count++] = entry;
    }
    TRY(compare_cases(v, kind, penalty, &cases, error));
  }
  return XT_STATUS_OK;
}

static xt_status verify_all(Verify *v, xt_error *error) {
  int64_t format = 0;
  TRY(json_parse_file(v->file, &v->root, error));
  if (!json_is_object(v->root)) return bad(v, NULL, "is not a JSON object", error);
  TRY(json_get_int(v->root, "format", 0, INT32_MAX, &format, v->file, error));
  if (format != FORMAT) return bad(v, "format", "is not 1, the only format known", error);
  TRY(load_prompts(v, error));
  TRY(verify_kind(v, "greedy", read_greedy, error));
  TRY(verify_kind(v, "transplants", read_transplant, error));
  return verify_kind(v, "interventions", read_interventions, error);
}

xt_status xt_session_verify(xt_session *session, const char *directory,
                            void (*row)(void *user, const xt_verify_row *row), void *user,
                            bool *passed, xt_error *error) {
  char *file;
  TRY(file_join(directory, "reference.json", &file, error));
  Verify v = {.session = session,
              .directory = directory,
              .file = file,
              .row = row,
              .user = user,
              .passed = true};
  const xt_status status = verify_all(&v, error);
  *passed = !status && v.passed;
  for (size_t i = 0; i < v.prompt_count; i++) xt_taps_free(v.prompts[i].taps);
  json_decref(v.root);
  arena_free(&v.arena);
  free(file);
  return status;
}
