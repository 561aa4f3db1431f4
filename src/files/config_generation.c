/* SPDX-License-Identifier: Apache-2.0 */
/* Generation settings: each one that changes a greedy response is applied or refused by name, and
 * none is ignored. */
#include "files/config_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Settings of transformers' GenerationConfig that change what greedy decoding gives and are not
 * handled here, with the value at which they have no effect. Settings of sampling (temperature,
 * top_k, top_p, ...), upper bounds of lengths and settings of caches do not change it. */
static const struct {
  const char *key;
  int idle;
} refused[] = {{"encoder_no_repeat_ngram_size", 0},
               {"encoder_repetition_penalty", 1},
               {"forced_decoder_ids", 0},
               {"exponential_decay_length_penalty", 0},
               {"sequence_bias", 0},
               {"num_beams", 1},
               {"num_beam_groups", 1},
               {"diversity_penalty", 0},
               {"force_words_ids", 0},
               {"constraints", 0},
               {"penalty_alpha", 0},
               {"guidance_scale", 1},
               {"watermarking_config", 0},
               {"dola_layers", 0},
               {"stop_strings", 0}};

static bool is_idle(const json_t *value, int idle) {
  if (json_is_number(value)) return json_number_value(value) == (double)idle;
  if (json_is_array(value)) return json_array_size(value) == 0;
  if (json_is_object(value)) return json_object_size(value) == 0;
  return !json_is_true(value) && !json_is_string(value);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static xt_status add_id(const ConfigSource *s, const char *key, const json_t *value, int64_t low,
                        int64_t high, GenerationRules *rules) {
  if (!json_is_integer(value))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "holds %s, expected a token id",
                         json_type_name(value));
  const json_int_t id = json_integer_value(value);
  if (id < low || id > high)
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "token id %lld is outside the vocabulary of %lld",
                         (long long)id, (long long)high + 1);
  if (rules->id_count == GENERATION_IDS_MAX)
    return CONFIG_REFUSE(s, XT_STATUS_UNSUPPORTED, key,
                         "makes more than %d token ids in such lists; no more are handled",
                         GENERATION_IDS_MAX);
  rules->ids[rules->id_count++] = (int32_t)id;
  return XT_STATUS_OK;
}

static xt_status open_list(const ConfigSource *s, const char *key, const json_t **list) {
  *list = config_given(s->root, key) ? json_object_get(s->root, key) : NULL;
  if (*list && !json_is_array(*list))
    return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "is %s, expected a list", json_type_name(*list));
  return XT_STATUS_OK;
}

int token_id_compare(const void *a, const void *b) {
  const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return x < y ? -1 : x > y;
}

/* Ids that are never chosen, ascending. Ids outside the vocabulary are left out, as in
 * transformers. */
static xt_status read_suppressed(const ConfigSource *s, const char *key, int vocab,
                                 GenerationRules *rules, IdRange *out) {
  const json_t *list;
  *out = (IdRange){.start = rules->id_count};
  TRY(open_list(s, key, &list));
  for (size_t i = 0; i < json_array_size(list); i++) {
    TRY(add_id(s, key, json_array_get(list, i), INT32_MIN, INT32_MAX, rules));
    const int32_t id = rules->ids[rules->id_count - 1];
    if (id < 0 || id >= vocab) rules->id_count--;
  }
  out->count = rules->id_count - out->start;
  qsort(rules->ids + out->start, (size_t)out->count, sizeof *rules->ids, token_id_compare);
  return XT_STATUS_OK;
}

static bool is_eos(const ModelConfig *c, int32_t id) {
  for (int i = 0; i < c->eos_count; i++)
    if (c->eos[i] == id) return true;
  return false;
}

/* A word that is a single EOS token does not count: transformers removes it. */
static xt_status read_bad_words(const ConfigSource *s, ModelConfig *out) {
  static const char key[] = "bad_words_ids";
  GenerationRules *rules = &out->rules;
  const json_t *list;
  rules->bad_words.start = rules->id_count;
  TRY(open_list(s, key, &list));
  for (size_t w = 0; w < json_array_size(list); w++) {
    const json_t *word = json_array_get(list, w);
    const int begin = rules->id_count;
    if (!json_is_array(word) || json_array_size(word) == 0 ||
        json_array_size(word) > GENERATION_IDS_MAX)
      return CONFIG_REFUSE(s, XT_STATUS_INPUT, key, "entry %zu is no list of token ids", w);
    TRY(add_id(s, key, json_array_get(word, 0), 0, out->vocab - 1, rules)); /* the length's place */
    for (size_t i = 0; i < json_array_size(word); i++)
      TRY(add_id(s, key, json_array_get(word, i), 0, out->vocab - 1, rules));
    rules->ids[begin] = (int32_t)json_array_size(word);
    if (rules->ids[begin] == 1 && is_eos(out, rules->ids[begin + 1])) rules->id_count = begin;
  }
  rules->bad_words.count = rules->id_count - rules->bad_words.start;
  return XT_STATUS_OK;
}

static xt_status read_forced(const ConfigSource *s, ModelConfig *out) {
  GenerationRules *rules = &out->rules;
  const json_t *bos = json_object_get(s->root, "forced_bos_token_id"),
               *eos = json_object_get(s->root, "forced_eos_token_id");
  if (config_given(s->root, "forced_bos_token_id")) {
    TRY(add_id(s, "forced_bos_token_id", bos, 0, out->vocab - 1, rules));
    rules->forced_bos = rules->ids[--rules->id_count];
  }
  rules->forced_eos.start = rules->id_count;
  if (json_is_array(eos))
    for (size_t i = 0; i < json_array_size(eos); i++)
      TRY(add_id(s, "forced_eos_token_id", json_array_get(eos, i), 0, out->vocab - 1, rules));
  else if (config_given(s->root, "forced_eos_token_id"))
    TRY(add_id(s, "forced_eos_token_id", eos, 0, out->vocab - 1, rules));
  rules->forced_eos.count = rules->id_count - rules->forced_eos.start;
  return XT_STATUS_OK;
}

/* If all forced tokens are suppressed, generate fails. */
static xt_status check_forced(const ConfigSource *s, const char *key, const int32_t *ids, int count,
                              const GenerationRules *r) {
  bool possible = count == 0;
  for (int i = 0; i < count; i++) {
    bool never = false;
    for (int k = 0; k < r->suppressed.count; k++)
      never |= r->ids[r->suppressed.start + k] == ids[i];
    possible |= !never;
  }
  return possible ? XT_STATUS_OK
                  : CONFIG_REFUSE(s, XT_STATUS_INPUT, key,
                                  "all of it is among suppress_tokens; take it out of either");
}

static void note_name(GenerationRules *r, bool there, const char *key) {
  const size_t used = strlen(r->names);
  if (!there) return;
  snprintf(r->names + used, sizeof r->names - used, "%s%s", used ? ", " : "", key);
  r->any = true;
}

static void note_names(GenerationRules *r) {
  note_name(r, r->no_repeat_ngram, "no_repeat_ngram_size");
  note_name(r, r->bad_words.count, "bad_words_ids");
  note_name(r, r->min_length, "min_length");
  note_name(r, r->min_new_tokens, "min_new_tokens");
  note_name(r, r->forced_bos >= 0, "forced_bos_token_id");
  note_name(r, r->forced_eos.count, "forced_eos_token_id");
  note_name(r, r->suppressed.count, "suppress_tokens");
  note_name(r, r->begin_suppressed.count, "begin_suppress_tokens");
}

static xt_status read_rules(const ConfigSource *s, ModelConfig *out) {
  GenerationRules *r = &out->rules;
  TRY(config_int(s, "no_repeat_ngram_size", 0, INT32_MAX, &r->no_repeat_ngram));
  TRY(config_int(s, "min_length", 0, INT32_MAX, &r->min_length));
  TRY(config_int(s, "min_new_tokens", 0, INT32_MAX, &r->min_new_tokens));
  if (config_given(s->root, "min_new_tokens")) r->min_length = 0;
  TRY(read_bad_words(s, out));
  TRY(read_forced(s, out));
  TRY(read_suppressed(s, "suppress_tokens", out->vocab, r, &r->suppressed));
  TRY(read_suppressed(s, "begin_suppress_tokens", out->vocab, r, &r->begin_suppressed));
  TRY(check_forced(s, "forced_bos_token_id", &r->forced_bos, r->forced_bos >= 0, r));
  TRY(check_forced(s, "forced_eos_token_id", r->ids + r->forced_eos.start, r->forced_eos.count, r));
  note_names(r);
  return XT_STATUS_OK;
}

xt_status config_read_generation(const ConfigSource *s, ModelConfig *out) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const json_t *value = json_object_get(s->root, refused[i].key);
    if (value && !is_idle(value, refused[i].idle))
      return CONFIG_REFUSE(
          s, XT_STATUS_UNSUPPORTED, refused[i].key,
          "changes what greedy decoding gives, and is not handled; take it out of the file "
          "for responses without it");
  }
  TRY(read_rules(s, out));
  return json_get_real(s->root, "repetition_penalty", 1e-3, 1e3, &out->repetition_penalty, s->path,
                       s->error);
}
