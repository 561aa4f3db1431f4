/* SPDX-License-Identifier: Apache-2.0 */
#include "analysis/no_ops.h"

#include <string.h>

#include "xtransplant/engine.h"

/* Whether source and target are in one language: of cultures the target is English. */
static bool one_language(const AnalysisGroup *g, const AnalysisInstance *i) {
  const bool from =
      g->group.benchmark && g->group.benchmark->direction == XT_DIRECTION_FROM_LANGUAGE;
  return i->source_lang[0] && strcmp(i->source_lang, from ? "en" : i->lang) == 0;
}

/* Whether a prompt's value, read and written at the same layer of the same prompt, stays as it is. */
static bool writes_back(const xt_site *site) {
  return site->read == site->write && site->rule == XT_RULE_REPLACE &&
         site->positions == XT_POSITIONS_LAST && site->control <= XT_CONTROL_SELF &&
         site->from == XT_FROM_SOURCE;
}

NoOps analysis_no_ops(const xt_analysis *a, const AnalysisGroup *g, const AnalysisSite *s) {
  NoOps out = {0};
  xt_site site;
  if (xt_site_parse(s->name, &site, NULL) != XT_STATUS_OK || !writes_back(&site)) return out;
  for (size_t i = 0; i < g->group.instances; i++) {
    const AnalysisInstance *instance = &g->instances[i];
    if (strcmp(instance->source, instance->target) != 0) {
      out.other_prompts += one_language(g, instance);
      continue;
    }
    out.questions++;
    for (int layer = 0; layer < a->layers && instance->vanilla_text != TEXT_ABSENT; layer++) {
      const uint32_t text = s->texts[i * (size_t)a->cells + (size_t)(layer * a->layers + layer)];
      if (text == TEXT_ABSENT) continue;
      out.responses++;
      if (text == instance->vanilla_text) continue;
      if (out.differ++ == 0) {
        out.lang = instance->lang;
        out.id = instance->id;
        out.layer = layer;
      }
    }
  }
  return out;
}
