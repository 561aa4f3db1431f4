/* SPDX-License-Identifier: Apache-2.0 */
#include "model/rope.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Llama 3: long wavelengths are slowed by `factor`, short ones kept, a ramp between (transformers,
 * modeling_rope_utils._compute_llama3_parameters). */
static double llama3_frequency(const Rotary *c, double frequency) {
  const double length = c->original_positions, wavelength = 2.0 * PI / frequency;
  if (wavelength > length / c->low_freq) return frequency / c->factor;
  if (wavelength < length / c->high_freq) return frequency;
  const double smooth = (length / wavelength - c->low_freq) / (c->high_freq - c->low_freq);
  return (1.0 - smooth) * frequency / c->factor + smooth * frequency;
}

/* YaRN (Peng et al. 2023): the pair index at which a frequency turns `rotations` times over the
 * original positions. */
static double yarn_index(const Rotary *c, int width, double rotations) {
  return width * log(c->original_positions / (rotations * 2.0 * PI)) / (2.0 * log(c->theta));
}

static double yarn_frequency(const Rotary *c, int width, int pair, double frequency) {
  double low = floor(yarn_index(c, width, c->beta_fast)),
         high = ceil(yarn_index(c, width, c->beta_slow));
  if (low < 0) low = 0;
  if (high > width - 1) high = width - 1;
  if (low == high) high += 0.001;
  double ramp = (pair - low) / (high - low);
  ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
  return frequency / c->factor * ramp + frequency * (1.0 - ramp);
}

/* NTK-aware (transformers' _compute_dynamic_ntk_parameters): beyond the model's positions the base
 * grows with the length. */
static float dynamic_theta(const Rotary *c, int width, int length) {
  const float factor = (float)c->factor, theta = (float)c->theta,
              most = (float)c->original_positions;
  if (length <= c->original_positions || width <= 2) return theta;
  return theta *
         powf(factor * (float)length / most - (factor - 1.0f), (float)width / (float)(width - 2));
}

static float pair_frequency(const Rotary *c, int width, int pair, int length) {
  /* float32 where transformers has it: theta^(2k/d), its reciprocal, then the scaling */
  const float theta =
      c->scaling == ROPE_SCALING_DYNAMIC ? dynamic_theta(c, width, length) : (float)c->theta;
  const float power = powf(theta, (float)(2 * pair) / (float)width), base = 1.0f / power;
  switch (c->scaling) {
    case ROPE_SCALING_LINEAR: return base / (float)c->factor;
    case ROPE_SCALING_LLAMA3: return (float)llama3_frequency(c, base);
    case ROPE_SCALING_YARN: return (float)yarn_frequency(c, width, pair, base);
    case ROPE_SCALING_TABLE: return base / c->short_factor[pair];
    case ROPE_SCALING_LONGROPE:
      return 1.0f /
             ((length > c->original_positions ? c->long_factor : c->short_factor)[pair] * power);
    case ROPE_SCALING_NONE:
    case ROPE_SCALING_DYNAMIC: break;
  }
  return base;
}

static double gain_of(const Rotary *c) {
  if (c->scaling != ROPE_SCALING_YARN && c->scaling != ROPE_SCALING_LONGROPE) return 1.0;
  if (c->attention_factor > 0) return c->attention_factor;
  if (c->factor <= 1) return 1.0;
  return c->scaling == ROPE_SCALING_YARN
             ? 0.1 * log(c->factor) + 1.0
             : sqrt(1.0 + log(c->factor) / log((double)c->original_positions));
}

static bool by_length(const Rotary *c) {
  return c->scaling == ROPE_SCALING_DYNAMIC || c->scaling == ROPE_SCALING_LONGROPE;
}

int rope_class(const ModelConfig *config, int length) {
  const Rotary *c = &config->rotary[0];
  if (!by_length(c) || length <= c->original_positions) return 0;
  return c->scaling == ROPE_SCALING_DYNAMIC ? length : 1;
}

void rope_table(const Rotary *c, int width, int first, int count, int length, float *out) {
  const int half = width / 2;
  const double gain = gain_of(c);
  for (int k = 0; k < half; k++) {
    float frequency = pair_frequency(c, width, k, length);
    for (int p = 0; p < count; p++) {
      if (length == 0 && by_length(c) && (p == 0 || first + p >= c->original_positions))
        frequency = pair_frequency(c, width, k, first + p + 1);
      const float angle = (float)(first + p) * frequency;
      float *row = out + (size_t)p * (size_t)width, scale = (float)gain;
      if (c->query_beta > 0)
        scale *= 1.0f + (float)c->query_beta *
                            logf(1.0f + floorf((float)(first + p) / (float)c->original_positions));
      row[k] = cosf(angle) * scale;
      row[half + k] = sinf(angle) * scale;
    }
  }
}

void sinusoid_table(int width, int count, float *out) {
  const int half = width / 2;
  const float step = -(float)(log(10000.0) / (half - 1));
  for (int k = 0; k < half; k++) {
    const float frequency = expf((float)k * step);
    for (int p = 0; p < count; p++) {
      const float angle = (float)(p + 2) * frequency;
      out[(size_t)p * (size_t)width + (size_t)k] = sinf(angle);
      out[(size_t)p * (size_t)width + (size_t)(half + k)] = cosf(angle);
    }
  }
  for (int p = 0; p < count && width % 2; p++)
    out[(size_t)p * (size_t)width + (size_t)width - 1] = 0;
}
