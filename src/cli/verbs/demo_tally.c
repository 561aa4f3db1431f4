/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/demo_tally.h"

#include <stdio.h>
#include <string.h>

/* "ffn" and "attn" transplant a module's output; so does "f:o", which reads one. */
bool tally_is_one_module(const char *site) {
  return strcmp(site, "attn") == 0 || strcmp(site, "ffn") == 0 || strncmp(site, "a:", 2) == 0 ||
         strncmp(site, "f:", 2) == 0;
}

/* The demo runs every control beside the site that it is a control of. */
static bool is_control(const xt_site_result *site) { return site->transplant != NULL; }

static bool is_headline(const xt_group *g, const xt_site_result *site) {
  bool any = false;
  if (is_control(site)) return false;
  for (size_t s = 0; s < g->site_count; s++)
    any = any || (!is_control(&g->sites[s]) && tally_is_one_module(g->sites[s].site));
  return !any || tally_is_one_module(site->site);
}

static const xt_site_result *control_of(const xt_group *g, const xt_site_result *site) {
  for (size_t s = 0; s < g->site_count; s++)
    if (g->sites[s].transplant && strcmp(g->sites[s].transplant, site->site) == 0)
      return &g->sites[s];
  return NULL;
}

/* ffn, or the first headline site. */
static const xt_site_result *fixed_site(const xt_group *g) {
  const xt_site_result *found = NULL;
  for (size_t s = 0; s < g->site_count; s++) {
    if (strcmp(g->sites[s].site, "ffn") == 0) return &g->sites[s];
    if (!found && is_headline(g, &g->sites[s])) found = &g->sites[s];
  }
  return found;
}

/* "attn and ffn": the headline sites, or those that are not. */
static void site_list(const xt_group *g, bool headline, char out[80]) {
  int left = 0;
  out[0] = 0;
  for (size_t s = 0; s < g->site_count; s++)
    left += !is_control(&g->sites[s]) && is_headline(g, &g->sites[s]) == headline;
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s];
    if (is_control(site) || is_headline(g, site) != headline) continue;
    if (out[0]) strcat(out, left == 1 ? " and " : ", ");
    strncat(out, site->site, 15);
    left--;
  }
}

/* ---- tables ---------------------------------------------------------------------------------- */

static double percent(size_t part, size_t n) { return n ? 100.0 * (double)part / (double)n : 0; }

static double accuracy(const xt_configuration *c) { return percent(c->correct, c->count); }

/* The accuracy of the first configuration in a language (-1: in all). */
static double first_of(const xt_group *g, const xt_site_result *site, int lang) {
  if (lang < 0) return accuracy(&site->configurations[0]);
  const size_t at = (size_t)lang * (size_t)g->layers * (size_t)g->layers;
  return percent((size_t)site->language_correct[at], (size_t)site->language_count[at]);
}

static void print_percent(const xt_scores *scores, int lang, int width) {
  const xt_estimate *e = lang < 0 ? &scores->overall : &scores->languages[lang];
  if (e->count)
    printf(" %*.1f%%", width - 2, 100 * e->value);
  else
    printf(" %*s", width - 1, "-");
}

static void print_languages(const xt_group *g, const xt_site_result *fixed,
                            const char *source_name) {
  const xt_site_result *control = control_of(g, fixed);
  char name[40];
  snprintf(name, sizeof name, "%s 0->0", fixed->site);
  printf("%-8s %9s  %14s  %9s  %12s  %16s  %11s\n", "", "questions", source_name, "untouched", name,
         "the same from", "upper bound");
  printf("%-8s %9s  %14s  %9s  %12s  %16s  %8s %2d\n", "language", "", "by itself", "", "",
         "another question", "any of", g->layers);
  for (size_t l = 0; l <= g->language_count; l++) {
    const int lang = l < g->language_count ? (int)l : -1;
    const xt_estimate *vanilla = lang < 0 ? &g->vanilla.overall : &g->vanilla.languages[l];
    printf("%-8s %9zu ", lang < 0 ? "all" : g->languages[l].name, vanilla->count);
    print_percent(&g->source, lang, 15);
    printf(" ");
    print_percent(&g->vanilla, lang, 10);
    printf("  %11.1f%%", first_of(g, fixed, lang));
    if (control)
      printf("  %15.1f%% ", first_of(g, control, lang));
    else
      printf("  %16s ", "-");
    print_percent(&fixed->targets[0].bound, lang, 12);
    printf("\n");
  }
}

/* Percent right for every pair of layers, with the means of rows and columns. */
static void print_grid(const xt_group *g, const xt_site_result *site) {
  const int n = g->layers;
  printf("\n%s: percent right, source layer down, target layer across\n      ", site->site);
  for (int j = 0; j < n; j++) printf(" %4d", j);
  printf("   mean\n");
  for (int i = 0; i <= n; i++) {
    double sum = 0;
    if (i < n)
      printf("%5d ", i);
    else
      printf(" mean ");
    for (int j = 0; j < n; j++) {
      double value = 0;
      for (int k = 0; k < n; k++)
        if (i == n || k == i)
          value += accuracy(&site->configurations[k * n + j]) / (i == n ? n : 1);
      sum += value;
      printf(" %4.0f", value);
    }
    printf("   %4.0f\n", sum / n);
  }
}

/* ---- words ----------------------------------------------------------------------------------- */

#define SIGNIFICANT 0.05
#define SURE 0.001 /* of one shuffle of the source prompts */

static void print_gain(const char *lead, const xt_configuration *c) {
  printf(
      "%s: %.1f%% instead of %.1f%%, %+.1f points (95%% interval %+.1f to %+.1f).\n  %zu answers "
      "became right and %zu wrong; by chance so uneven a split comes with probability %.2g.\n",
      lead, accuracy(c), percent(c->vanilla_correct, c->count), 100 * c->gain, 100 * c->low,
      100 * c->high, c->won, c->lost, c->p);
  if (c->p >= SIGNIFICANT)
    printf("  That is not distinguishable from untouched at %zu questions.\n", c->count);
}

/* The accuracy of the fixed transplants when their source prompt asks something else. */
static void print_controls(const xt_group *g) {
  bool first = true;
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s], *control = control_of(g, site);
    if (!control || !is_headline(g, site)) continue;
    const xt_difference *d = &control->over_control.overall;
    if (first)
      printf("Control, the source prompt of another question of the same language in place of its "
             "own:\n");
    first = false;
    printf("  %s 0->0: %.1f%% with its own source, %.1f%% with another question's (p = %.2g)%s\n",
           site->site, first_of(g, site, -1), first_of(g, control, -1), d->p,
           !d->count || d->p >= SIGNIFICANT ? ": no content of the question is shown to arrive."
           : d->p < SURE                    ? ": the question's own content is carried over."
                         : ": a little of the question's own content seems to arrive.");
  }
}

/* The headline site whose best pair of layers has the largest gain; or the best of the others. */
static const xt_site_result *best_site(const xt_group *g, bool headline) {
  const xt_site_result *best = NULL;
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s];
    if (is_control(site) || is_headline(g, site) != headline || site->best < 0) continue;
    if (!best || site->configurations[site->best].gain > best->configurations[best->best].gain)
      best = site;
  }
  return best;
}

static void print_best(const xt_group *g) {
  const xt_site_result *site = best_site(g, true);
  if (!site) return;
  const xt_configuration *c = &site->configurations[site->best];
  printf("The best pair of layers on these questions is %s %d->%d with %.1f%%, %+.1f points: too "
         "good by construction, since they chose it.\nChosen on other questions (bootstrap "
         "samples), the best pair gains %+.1f points.\n",
         site->site, site->best / g->layers, site->best % g->layers, accuracy(c), 100 * c->gain,
         100 * site->best_fresh);
}

static void print_baselines(const xt_group *g, const TallyWords *words,
                            const xt_site_result *fixed) {
  const xt_site_result *best = best_site(g, true);
  char names[80];
  site_list(g, true, names);
  if (g->source.overall.count) {
    printf("%s gives %.1f%% by itself, without any transplant: the baseline to beat. ",
           words->asking, 100 * g->source.overall.value);
    if (best && 100 * g->source.overall.value >= accuracy(&best->configurations[best->best]))
      printf("No pair of layers of %s does; they show\nwhat is carried over, not a better way to "
             "ask.\n",
             names);
    else
      printf("\n");
  }
  printf("The upper bound counts a question as right if any of its %d responses with %s into the "
         "first layer is: it knows the answer\nwhen it picks, as no method can.\n",
         g->layers, fixed->site);
}

static void print_where(const xt_group *g) {
  const int n = g->layers;
  int win = 0, lose = 0, all = 0;
  char names[80];
  for (size_t s = 0; s < g->site_count; s++) {
    const xt_site_result *site = &g->sites[s];
    double rows[2] = {0}, columns[2] = {0}; /* of the first layer; of all the others */
    if (is_control(site)) continue;
    for (int k = 0; k < n * n; k++) {
      const double share = accuracy(&site->configurations[k]) / n;
      rows[k / n > 0] += share / (k / n > 0 ? n - 1 : 1);
      columns[k % n > 0] += share / (k % n > 0 ? n - 1 : 1);
    }
    printf("  %s: taken from the first layer %.0f%% right on average, from the others %.0f%%; put "
           "into the first %.0f%%, into the others %.0f%%.\n",
           site->site, rows[0], rows[1], columns[0], columns[1]);
    if (!is_headline(g, site)) continue;
    win += site->all.win;
    lose += site->all.lose;
    all += site->all.win + site->all.tie + site->all.lose;
  }
  site_list(g, true, names);
  printf("Of all %d configurations of %s %d do better than the untouched run, %d worse.\n", all,
         names, win, lose);
}

/* The sites that the columns leave out, and why. */
static void print_streams(const xt_group *g) {
  const xt_site_result *best = best_site(g, false);
  char names[80];
  site_list(g, false, names);
  if (!names[0] || !best) return;
  printf("Not in these columns: %s. They move the whole residual stream, so that from late layers "
         "the source prompt's answer is copied: the last\n"
         "layer's block output, put into the last layer, makes the first token the source prompt's "
         "own by definition. Their best pair of layers\n"
         "gives %.1f%%, which says nothing about what the target prompt understands.\n",
         names, accuracy(&best->configurations[best->best]));
}

void tally_print(const xt_group *g, const TallyWords *words) {
  const xt_site_result *fixed = fixed_site(g);
  char lead[120];
  printf("\n== %s ==\n\n", words->title);
  if (!fixed) return;
  print_languages(g, fixed, words->source_name);
  for (size_t s = 0; s < g->site_count; s++)
    if (!is_control(&g->sites[s])) print_grid(g, &g->sites[s]);
  printf("\n");
  snprintf(lead, sizeof lead, "%s %s from the first layer into the first",
           strcmp(fixed->site, "ffn") == 0 ? "The paper's fixed choice for generation," : "Fixed:",
           fixed->site);
  print_gain(lead, &fixed->configurations[0]);
  print_controls(g);
  print_best(g);
  print_baselines(g, words, fixed);
  print_where(g);
  print_streams(g);
}
