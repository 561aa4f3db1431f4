/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of an analysis: what its tables may take, and copies of texts. */
#include <string.h>

#include "analysis/analysis_parts.h"
#include "base/arena_text.h"

xt_status analysis_claim(xt_analysis *a, size_t count, size_t size, xt_error *error) {
  const uint64_t most = a->options.memory, left = a->claimed < most ? most - a->claimed : 0;
  size_t questions = 0, sites = 0;
  if (size == 0 || count <= left / size) {
    a->claimed += (uint64_t)count * size;
    return XT_STATUS_OK;
  }
  for (size_t g = 0; g < a->count; g++) {
    questions += a->groups[g].group.instances;
    sites += a->groups[g].site_count;
  }
  return err_set(error, XT_STATUS_INPUT, NULL, NULL, -1,
                 "the tables of %zu and more questions in %zu tasks, of %zu sites and %d x %d "
                 "layers, would need more than the %.1f GiB of memory that are allowed",
                 questions, a->count, sites, a->layers, a->layers, (double)most / (1 << 30));
}

void analysis_release(xt_analysis *a, size_t count, size_t size) {
  a->claimed -= (uint64_t)count * size;
}

xt_status analysis_text_copy(xt_analysis *a, const char *text, const char **out, xt_error *error) {
  return arena_copy_text(&a->arena, text, strlen(text), out, error);
}
