/* SPDX-License-Identifier: Apache-2.0 */
/* The summary of a report in words, with a map of gains for the terminal, and the list of what the
 * report lacks. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "report/report_parts.h"
#include "report/svg.h"

/* ---- words ----------------------------------------------------------------------------------- */

static void sentence(TextBuffer *out, int width, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void sentence(TextBuffer *out, int width, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  number_vprint(text, sizeof text, format, args);
  va_end(args);
  text_to_lines(text, width, out);
}

static double percent(double share) { return 100 * share; }

static const char *interval_name(const xt_report *r, char out[24]) {
  number_print(out, 24, "%.3g%% interval", percent(r->main.analysis->options.confidence));
  return out;
}

/* The paper's fixed choice, compared with the untouched model. */
static void coarse_words(xt_report *r, const xt_group *g, int width, TextBuffer *out) {
  const char *name;
  char interval[24];
  int source, target;
  if (!g->benchmark) return;
  xt_coarse(g->benchmark, g->layers, &name, &source, &target);
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_configuration *k = &g->sites[s].configurations[source * g->layers + target];
    if (strcmp(g->sites[s].site, name) != 0 || k->count == 0) continue;
    sentence(out, width,
             "The paper's fixed choice for it, %s from layer %d into layer %d: %.1f%% instead of "
             "%.1f%%, %+.1f points "
             "(%s %+.1f to %+.1f). %zu answers became right "
             "and %zu wrong; by chance so uneven a split comes with probability %.2g.",
             name, source + r->first_layer, target + r->first_layer,
             percent((double)k->correct / (double)k->count),
             percent((double)k->vanilla_correct / (double)k->count), percent(k->gain),
             interval_name(r, interval), percent(k->low), percent(k->high), k->won, k->lost, k->p);
    return;
  }
  sentence(out, width,
           "The paper's fixed choice for it, %s from layer %d into layer %d, is not in this store.",
           name, source + r->first_layer, target + r->first_layer);
}

/* Mean accuracy of configurations with the first layer as source or target, and of the others; NaN:
 * there are none. */
static void first_and_others(const xt_group *g, const xt_site_result *site, bool target,
                             double out[2]) {
  double sums[2] = {0};
  int counts[2] = {0};
  for (int c = 0; c < g->layers * g->layers; c++) {
    const xt_configuration *k = &site->configurations[c];
    const int others = (target ? c % g->layers : c / g->layers) > 0;
    if (k->count == 0) continue;
    sums[others] += (double)k->correct / (double)k->count;
    counts[others]++;
  }
  for (int i = 0; i < 2; i++) out[i] = counts[i] ? percent(sums[i] / counts[i]) : (double)NAN;
}

static void where_words(const xt_group *g, const xt_site_result *site, int width, TextBuffer *out) {
  double from[2], into[2];
  first_and_others(g, site, false, from);
  first_and_others(g, site, true, into);
  if (isnan(from[0]) || isnan(from[1]) || isnan(into[0]) || isnan(into[1])) return;
  sentence(out, width,
           "Taken from the first layer %.0f%% are right on average, from the others %.0f%%; put "
           "into the first %.0f%%, "
           "into the others %.0f%%.",
           from[0], from[1], into[0], into[1]);
}

static void site_words(xt_report *r, const xt_group *g, const xt_site_result *site, int width,
                       TextBuffer *out) {
  const xt_configuration *best = &site->configurations[site->best];
  size_t better = 0, worse = 0;
  for (int c = 0; c < g->layers * g->layers; c++) {
    const xt_configuration *k = &site->configurations[c];
    if (k->count == 0 || !(k->holm < 0.05)) continue;
    if (k->gain > 0)
      better++;
    else
      worse++;
  }
  char fresh[160] = "";
  if (!isnan(site->best_fresh))
    number_print(fresh, sizeof fresh,
                 " Questions that such a choice did not see gain %+.1f points.",
                 percent(site->best_fresh));
  sentence(out, width,
           "%s: of %d configurations %d do better than the untouched model, %d worse (after Holm's "
           "correction %zu and "
           "%zu); their mean is %.1f%%. The best, layer %d into "
           "layer %d, has %.1f%%: too good by construction, since it was picked by these same "
           "questions.%s",
           site->site, site->configuration_count, site->all.win, site->all.lose, better, worse,
           percent(site->mean.overall.value), site->best / g->layers + r->first_layer,
           site->best % g->layers + r->first_layer,
           percent((double)best->correct / (double)best->count), fresh);
}

static void control_words(xt_report *r, const xt_site_result *site, int width, TextBuffer *out) {
  const xt_difference *gain = &site->mean_gain.overall, *over = &site->over_control.overall;
  char interval[24];
  sentence(out, width,
           "%s, a control of %s: the mean of the %d configuration%s that both have is %.1f%%, "
           "%+.1f points against the untouched model (%s %+.1f to %+.1f). The transplants gain "
           "%+.1f points over it (%+.1f to %+.1f); by chance so much comes with probability %.2g.",
           site->site, site->transplant, site->shared_configurations,
           site->shared_configurations == 1 ? "" : "s", percent(site->shared_mean.overall.value),
           percent(gain->gain), interval_name(r, interval), percent(gain->low), percent(gain->high),
           percent(over->gain), percent(over->low), percent(over->high), over->p);
}

/* ---- the map --------------------------------------------------------------------------------- */

typedef struct Map {
  const xt_group *group;
  const xt_site_result *site;
  double most; /* the largest gain or loss */
  int first;
} Map;

static const xt_configuration *map_at(const Map *m, int source, int target) {
  return source < m->group->layers ? &m->site->configurations[source * m->group->layers + target]
                                   : NULL;
}

/* "38;2;R;G;B": the terminal colour of a gain; false: there is no value. */
static bool map_colour(const Map *m, const xt_configuration *k, int kind, char out[32]) {
  char hex[8];
  unsigned rgb[3];
  if (!k || k->count == 0) return false;
  svg_diverging(m->most > 0 ? k->gain / m->most : 0, hex);
  if (sscanf(hex, "#%2x%2x%2x", &rgb[0], &rgb[1], &rgb[2]) != 3) return false;
  snprintf(out, 32, "%d;2;%u;%u;%u", kind, rgb[0], rgb[1], rgb[2]);
  return true;
}

static void map_label(const Map *m, TextBuffer *out, int layer) {
  const int every = m->group->layers <= 16 ? 1 : 4;
  if (layer % every == 0)
    text_buffer_format(out, "%4d ", layer + m->first);
  else
    text_buffer_add_text(out, "     ");
}

/* The layers across, spaced by the width of their numbers. */
static void map_across(const Map *m, TextBuffer *out, int cell) {
  const int layers = m->group->layers, every = cell >= 3 || (cell == 2 && layers <= 10) ? 1 : 4;
  text_buffer_add_text(out, "     ");
  for (int j = 0; j < layers; j++) {
    if (j % every == 0)
      text_buffer_format(out, "%-*d", cell * (j + every > layers ? layers - j : every),
                         j + m->first);
  }
  text_buffer_add_text(out, "  target layer\n");
}

/* One block per configuration; two source layers per line if there are many. */
static void map_blocks(const Map *m, int width, TextBuffer *out) {
  const int layers = m->group->layers;
  int cell = (width - 20) / layers;
  cell = cell > 3 ? 3 : cell < 1 ? 1 : cell;
  const bool half = cell == 1;
  char upper[32], lower[32];
  map_across(m, out, cell);
  for (int i = 0; i < layers; i += half ? 2 : 1) {
    map_label(m, out, i);
    for (int j = 0; j < layers; j++) {
      const xt_configuration *k = map_at(m, i, j);
      const bool above = map_colour(m, k, half ? 38 : 48, upper),
                 below = half && map_colour(m, map_at(m, i + 1, j), 48, lower);
      if (half && (above || below))
        text_buffer_format(out, "\x1b[%s%s%sm%s", above ? upper : lower, above && below ? ";" : "",
                           above && below ? lower : "", above ? "▀" : "▄");
      else if (!half && above)
        text_buffer_format(out, "\x1b[38;2;28;32;36;%sm%s%s", upper,
                           k->holm < 0.05 ? " •"
                           : k->bh < 0.05 ? " ◦"
                                          : "  ",
                           cell == 3 ? " " : "");
      else
        text_buffer_format(out, "%.*s", cell, " · ");
      text_buffer_add_text(out, "\x1b[0m");
    }
    text_buffer_add_text(out, "\n");
  }
  text_buffer_add_text(out, "     ");
  for (int step = -8; step <= 8; step++) {
    char hex[8];
    unsigned rgb[3] = {0};
    svg_diverging(step / 8.0, hex);
    if (step == -8) text_buffer_format(out, "%+.1f ", percent(-m->most));
    if (sscanf(hex, "#%2x%2x%2x", &rgb[0], &rgb[1], &rgb[2]) == 3)
      text_buffer_format(out, "\x1b[48;2;%u;%u;%um \x1b[0m", rgb[0], rgb[1], rgb[2]);
  }
  text_buffer_format(out, " %+.1f points\n%s", percent(m->most),
                     half ? "" : "     • p < 0.05 (Holm)  ◦ q < 0.05 (Benjamini-Hochberg)\n");
}

/* The same in numbers, if they fit. */
static bool map_numbers(const Map *m, int width, TextBuffer *out) {
  const int layers = m->group->layers;
  if (5 + 6 * layers > width) return false;
  text_buffer_add_text(out, "     ");
  for (int j = 0; j < layers; j++) text_buffer_format(out, "%6d", j + m->first);
  text_buffer_add_text(out, "\n");
  for (int i = 0; i < layers; i++) {
    map_label(m, out, i);
    for (int j = 0; j < layers; j++) {
      const xt_configuration *k = map_at(m, i, j);
      if (k->count)
        text_buffer_format(out, "%+6.1f", fabs(k->gain) < 0.0005 ? 0.0 : percent(k->gain));
      else
        text_buffer_add_text(out, "     .");
    }
    text_buffer_add_text(out, "\n");
  }
  return true;
}

static void map(xt_report *r, const xt_group *g, const xt_site_result *site,
                const xt_report_text_options *how, TextBuffer *out) {
  Map m = {g, site, 0, r->first_layer};
  for (int c = 0; c < g->layers * g->layers; c++)
    if (site->configurations[c].count) m.most = fmax(m.most, fabs(site->configurations[c].gain));
  text_buffer_format(out, "\n%s: gain in points, source layer down, target layer across\n",
                     site->site);
  if (how->colour && 5 + g->layers <= how->width)
    map_blocks(&m, how->width, out);
  else if (!map_numbers(&m, how->width, out))
    text_to_lines(report_format(r, "(wider than this terminal: heatmap-%s-%s.svg of report -o)",
                                report_slug(r, g), report_site_slug(r, site->site)),
                  how->width, out);
}

/* ---- what is lacking ------------------------------------------------------------------------- */

static xt_status lack(xt_report *r, const char *what, const char *how, xt_error *error) {
  TRY(MEM_GROW(&r->lacks, &r->lack_capacity, r->lack_count + 1, error));
  r->lacks[r->lack_count++] = (ReportLack){what, how};
  return XT_STATUS_OK;
}

static bool has_table(const xt_report *r, const char *start) {
  for (size_t i = 0; i < r->tables.count; i++)
    if (strncmp(r->tables.tables[i]->id, start, strlen(start)) == 0) return true;
  return false;
}

/* Each row or table of the paper that is missing, and how to add it. */
xt_status report_find_lacks(xt_report *r, xt_error *error) {
  const xt_analysis *a = r->main.analysis;
  if (!has_table(r, "table1"))
    TRY(lack(r, "Table 1, perplexity and language", "xtransplant metrics measures them", error));
  for (size_t g = 0; g < a->count; g++) {
    const xt_group *group = &a->groups[g].group;
    const char *site;
    int source, target;
    if (!group->benchmark || group->coarse.overall.count) continue;
    xt_coarse(group->benchmark, a->layers, &site, &source, &target);
    TRY(lack(r, report_format(r, "The coarse strategy's row of %s", report_group_title(r, group)),
             report_format(r, "sweep --site %s --source-layers %d --target-layers %d", site, source,
                           target),
             error));
  }
  if (a->strategy_count == 0)
    TRY(lack(r, "Rows of strategies that choose layers for each question", "xtransplant select",
             error));
  if (!r->cot.analysis)
    TRY(lack(r, "The CoT row of table 4", "report --cot, with the results of sweep --cot", error));
  if (!r->tuned.analysis)
    TRY(lack(r, "The ML-SFT row of table 4, and table 11",
             "report --tuned, with the results of the fine-tuned model", error));
  if (!has_table(r, "table8"))
    TRY(lack(r, "Table 8, other pivot languages and models",
             "sweep --pivot into the same store, or report --beside", error));
  if (!r->lens)
    TRY(lack(r, "Figure 8, intermediate decoding", "report --lens, with what lens --json prints",
             error));
  return XT_STATUS_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void group_words(xt_report *r, const xt_group *g, const xt_report_text_options *how,
                        TextBuffer *out) {
  const xt_site_result *main = report_site(g);
  char chance[64] = "";
  if (!isnan(g->vanilla_chance))
    number_print(chance, sizeof chance,
                 "; against the gold answers of other questions it would be %.1f%%",
                 percent(g->vanilla_chance));
  text_buffer_add_text(out, "\n");
  text_to_lines(report_format(r, "== %s ==", report_group_title(r, g)), how->width, out);
  sentence(out, how->width,
           "%zu questions in %zu language%s, %zu of them scored. The untouched model has %.1f%% "
           "right%s.",
           g->instances, g->language_count, g->language_count == 1 ? "" : "s", g->scored,
           percent(g->vanilla.overall.value), chance);
  coarse_words(r, g, how->width, out);
  for (size_t s = 0; s < g->site_count; s++) {
    if (g->sites[s].best < 0) continue;
    if (g->sites[s].transplant && g->sites[s].over_control.overall.count)
      control_words(r, &g->sites[s], how->width, out);
    else
      site_words(r, g, &g->sites[s], how->width, out);
    if (&g->sites[s] == main) where_words(g, main, how->width, out);
  }
  if (main && main->best >= 0) map(r, g, main, how, out);
}

/* For questions without a gold answer or of an unknown task: the responses that changed. */
static void unscored_words(xt_report *r, const xt_group *g, int width, TextBuffer *out) {
  text_buffer_add_text(out, "\n");
  text_to_lines(report_format(r, "== %s ==", report_group_title(r, g)), width, out);
  sentence(out, width, "%zu questions in %zu language%s, which nothing scores.", g->instances,
           g->language_count, g->language_count == 1 ? "" : "s");
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].changed.count)
      sentence(out, width, "%s: %.1f%% of %zu responses differ from the untouched model's.",
               g->sites[s].site, percent(g->sites[s].changed.value), g->sites[s].responses);
  bool any = false;
  for (size_t s = 0; s < g->site_count; s++) {
    if (!g->sites[s].effects) continue;
    any = true;
    sentence(out, width,
             "%s: the first token's distribution is %.2f nats from the untouched run's (KL) and "
             "%.2f from the source prompt's.",
             g->sites[s].site, g->sites[s].mean_effects.kl_untouched,
             g->sites[s].mean_effects.kl_source);
  }
  if (any)
    sentence(out, width,
             "Logit differences, probabilities of gold answers and accuracies need gold answers.");
}

void report_summary(xt_report *r, const xt_report_text_options *how, TextBuffer *out) {
  const xt_analysis *a = r->main.analysis;
  text_to_lines(
      report_format(r, "%s, %d layers. %s", r->main.model, a->layers, report_layers_note(r)),
      how->width, out);
  for (size_t g = 0; g < a->count; g++) group_words(r, &a->groups[g].group, how, out);
  for (size_t g = 0; g < a->unscored; g++)
    unscored_words(r, &a->groups[a->count + g].group, how->width, out);
  if (r->lack_count) text_buffer_add_text(out, "\nNot in this report, and what adds it:\n");
  for (size_t i = 0; i < r->lack_count; i++)
    text_to_lines(report_format(r, "- %s: %s", r->lacks[i].what, r->lacks[i].how), how->width, out);
}
