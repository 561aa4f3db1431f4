/* SPDX-License-Identifier: Apache-2.0 */
/* Generation settings: what changes a greedy response is honoured or refused by name, never passed
 * over. */
#include "files/config_parts.h"

/* Settings of transformers' GenerationConfig that change what greedy decoding gives and are not
 * handled here, with the number at which they do nothing. Sampling's (temperature, top_k, top_p,
 * ...), lengths' upper bounds and caches' change nothing of it. */
static const struct {
  const char *key;
  int idle;
} refused[] = {{"no_repeat_ngram_size", 0},
               {"encoder_no_repeat_ngram_size", 0},
               {"encoder_repetition_penalty", 1},
               {"bad_words_ids", 0},
               {"suppress_tokens", 0},
               {"begin_suppress_tokens", 0},
               {"min_length", 0},
               {"min_new_tokens", 0},
               {"forced_bos_token_id", -1},
               {"forced_eos_token_id", -1},
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

xt_status config_read_generation(const ConfigSource *s, ModelConfig *out) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const json_t *value = json_object_get(s->root, refused[i].key);
    if (value && !is_idle(value, refused[i].idle))
      return CONFIG_REFUSE(
          s, XT_STATUS_UNSUPPORTED, refused[i].key,
          "changes what greedy decoding gives, and is not handled; take it out of the file "
          "for responses without it");
  }
  return json_get_real(s->root, "repetition_penalty", 1e-3, 1e3, &out->repetition_penalty, s->path,
                       s->error);
}
