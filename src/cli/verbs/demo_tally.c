/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/demo_tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shell/output.h"

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct Reading {
  Tally *tally;
  const char *task;
  size_t index; /* the question whose rows are being read */
} Reading;

void tally_deinit(Tally *t) {
  free(t->ids);
  free(t->lang);
  free(t->source);
  free(t->vanilla);
  free(t->control);
  free(t->right);
  *t = (Tally){0};
}

static size_t configurations(const Tally *t) {
  return (size_t)t->sites * (size_t)t->layers * (size_t)t->layers;
}
static bool *right_at(const Tally *t, size_t q, int site, int i, int j) {
  return &t->right[((q * (size_t)t->sites + (size_t)site) * (size_t)t->layers + (size_t)i) *
                       (size_t)t->layers +
                   (size_t)j];
}

static bool grow(void *array, size_t count, size_t size) {
  void *old;
  memcpy(&old, array, sizeof old);
  void *block = realloc(old, count * size);
  if (block) memcpy(array, &block, sizeof block);
  return block != NULL;
}

static xt_status add_question(Reading *r, const xt_question *q, xt_error *error) {
  Tally *t = r->tally;
  if (t->count == t->capacity) {
    const size_t more = t->capacity ? 2 * t->capacity : 256;
    if (!grow(&t->ids, more, sizeof *t->ids) || !grow(&t->lang, more, sizeof *t->lang) ||
        !grow(&t->source, more, sizeof *t->source) ||
        !grow(&t->vanilla, more, sizeof *t->vanilla) ||
        !grow(&t->control, more * TALLY_SITES, sizeof *t->control) ||
        !grow(&t->right, more * configurations(t), sizeof *t->right))
      return error_memory(error);
    t->capacity = more;
  }
  int lang = 0;
  while (lang < t->lang_count && strcmp(t->langs[lang], q->lang) != 0) lang++;
  if (lang == t->lang_count) {
    if (lang == TALLY_LANGUAGES)
      return error_set(error, XT_STATUS_UNSUPPORTED, NULL, NULL, -1, "has more than %d languages",
                       TALLY_LANGUAGES);
    snprintf(t->langs[t->lang_count++], sizeof *t->langs, "%s", q->lang);
  }
  r->index = t->count++;
  snprintf(t->ids[r->index], sizeof *t->ids, "%s", q->id);
  t->lang[r->index] = lang;
  t->source[r->index] = t->vanilla[r->index] = false;
  memset(t->control + r->index * TALLY_SITES, 0, TALLY_SITES * sizeof *t->control);
  memset(right_at(t, r->index, 0, 0, 0), 0, configurations(t) * sizeof *t->right);
  return XT_STATUS_OK;
}

static xt_status read_row(void *user, const xt_store_row *row, xt_error *error) {
  Reading *r = user;
  Tally *t = r->tally;
  if (strcmp(row->question->task, r->task) != 0) return XT_STATUS_OK;
  if (row->source_layer < 0) { /* the untouched run: a question's first row */
    const xt_status status = add_question(r, row->question, error);
    if (status) return status;
    t->vanilla[r->index] = row->correct == 1;
    return XT_STATUS_OK;
  }
  for (int s = 0; s < t->sites; s++)
    if (t->count && strcmp(t->site_names[s], row->site) == 0 && row->source_layer < t->layers &&
        row->target_layer < t->layers)
      *right_at(t, r->index, s, row->source_layer, row->target_layer) = row->correct == 1;
  return XT_STATUS_OK;
}

xt_status tally_read(Tally *t, xt_store *store, const char *task, const char *const *site_names,
                     int sites, int layers, xt_error *error) {
  *t = (Tally){.site_names = site_names, .sites = sites, .layers = layers};
  Reading reading = {.tally = t, .task = task};
  return xt_store_read(store, read_row, &reading, error);
}

long tally_find(const Tally *t, const char *id) {
  for (size_t q = 0; q < t->count; q++)
    if (strcmp(t->ids[q], id) == 0) return (long)q;
  return -1;
}

static xt_status read_control(void *user, const xt_store_row *row, xt_error *error) {
  Reading *r = user;
  Tally *t = r->tally;
  (void)error;
  const long q =
      row->source_layer == 0 && row->target_layer == 0 && strcmp(row->question->task, r->task) == 0
          ? tally_find(t, row->question->id)
          : -1;
  for (int s = 0; s < t->sites && q >= 0; s++)
    if (strcmp(t->site_names[s], row->site) == 0)
      t->control[(size_t)q * TALLY_SITES + (size_t)s] = row->correct == 1;
  t->has_control = t->has_control || q >= 0;
  return XT_STATUS_OK;
}

xt_status tally_read_control(Tally *t, xt_store *store, const char *task, xt_error *error) {
  Reading reading = {.tally = t, .task = task};
  return xt_store_read(store, read_control, &reading, error);
}

/* "ffn" and "attn" transplant a module's output; so does "f:o", which reads one. */
static bool one_module(const char *site) {
  return strcmp(site, "attn") == 0 || strcmp(site, "ffn") == 0 || strncmp(site, "a:", 2) == 0 ||
         strncmp(site, "f:", 2) == 0;
}

bool tally_is_headline(const Tally *t, int site) {
  bool any = false;
  for (int s = 0; s < t->sites; s++) any = any || one_module(t->site_names[s]);
  return !any || one_module(t->site_names[site]);
}

/* ---- figures --------------------------------------------------------------------------------- */

typedef struct Config {
  int site, source, target;
} Config;

/* Questions of a language (-1: all) and of a half (0, 1; -1: both). */
static bool belongs(const Tally *t, size_t q, int lang, int half) {
  return (lang < 0 || t->lang[q] == lang) && (half < 0 || (int)(q % 2) == half);
}

static int right_of(const Tally *t, Config c, int lang, int half) {
  int n = 0;
  for (size_t q = 0; q < t->count; q++)
    n += belongs(t, q, lang, half) && *right_at(t, q, c.site, c.source, c.target);
  return n;
}

/* The configuration with the most right answers; among equals the first by site, source, target.
 * `headline`: only those sites. */
static Config best_config(const Tally *t, int half, bool headline) {
  Config best = {0};
  int most = -1;
  for (int s = 0; s < t->sites; s++) {
    if (headline && !tally_is_headline(t, s)) continue;
    for (int i = 0; i < t->layers; i++)
      for (int j = 0; j < t->layers; j++) {
        const int n = right_of(t, (Config){s, i, j}, -1, half);
        if (n > most) {
          most = n;
          best = (Config){s, i, j};
        }
      }
  }
  return best;
}

/* A way to answer a question, compared with the untouched run. */
typedef struct Compared {
  int n, vanilla, right, gained, lost;
} Compared;

static void compare_one(const Tally *t, size_t q, bool right, Compared *c) {
  c->n++;
  c->vanilla += t->vanilla[q];
  c->right += right;
  c->gained += right && !t->vanilla[q];
  c->lost += !right && t->vanilla[q];
}

static Compared compare(const Tally *t, Config config, int lang) {
  Compared c = {0};
  for (size_t q = 0; q < t->count; q++)
    if (belongs(t, q, lang, -1))
      compare_one(t, q, *right_at(t, q, config.site, config.source, config.target), &c);
  return c;
}

/* Each half of the questions, answered by the configuration that is best on the other half. */
static Compared compare_chosen(const Tally *t, const Config chosen[2], int lang) {
  Compared c = {0};
  for (size_t q = 0; q < t->count; q++) {
    const Config config = chosen[1 - q % 2];
    if (belongs(t, q, lang, -1))
      compare_one(t, q, *right_at(t, q, config.site, config.source, config.target), &c);
  }
  return c;
}

static double percent(int part, int n) { return n ? 100.0 * part / n : 0; }

/* Standard error of the gain, in points: of the mean of the paired differences +1, 0, -1. */
static double gain_error(const Compared *c) {
  const double n = c->n, gain = (c->gained - c->lost) / n;
  return 100 * sqrt(fmax(0, ((c->gained + c->lost) / n - gain * gain) / n));
}

/* Two-sided exact sign test: how often chance alone would split gained and lost as unevenly. */
static double sign_test(const Compared *c) {
  const int m = c->gained + c->lost, k = c->gained > c->lost ? c->gained : c->lost;
  double tail = 0;
  for (int i = k; i <= m; i++)
    tail += exp(lgamma(m + 1) - lgamma(i + 1) - lgamma(m - i + 1) - m * log(2));
  return fmin(1, 2 * tail);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static void config_name(const Tally *t, Config c, char out[40]) {
  snprintf(out, 40, "%s %d->%d", t->site_names[c.site], c.source, c.target);
}

static int site_count(const Tally *t) {
  int n = 0;
  for (int s = 0; s < t->sites; s++) n += tally_is_headline(t, s);
  return n;
}

/* "attn and ffn" */
static void site_list(const Tally *t, bool headline, char out[80]) {
  int left = 0;
  out[0] = 0;
  for (int s = 0; s < t->sites; s++) left += tally_is_headline(t, s) == headline;
  for (int s = 0; s < t->sites; s++) {
    if (tally_is_headline(t, s) != headline) continue;
    if (out[0]) strcat(out, left == 1 ? " and " : ", ");
    strncat(out, t->site_names[s], 15);
    left--;
  }
}

/* Right with any of the headline sites' transplants, or untouched. */
static int oracle(const Tally *t, int lang) {
  const size_t pairs = (size_t)t->layers * (size_t)t->layers;
  int n = 0;
  for (size_t q = 0; q < t->count; q++) {
    bool any = t->vanilla[q];
    for (int s = 0; s < t->sites; s++)
      for (size_t k = 0; k < pairs && !any && tally_is_headline(t, s); k++)
        any = right_at(t, q, s, 0, 0)[k];
    n += belongs(t, q, lang, -1) && any;
  }
  return n;
}

static int control_right(const Tally *t, int site, int lang) {
  int n = 0;
  for (size_t q = 0; q < t->count; q++)
    n += belongs(t, q, lang, -1) && t->control[q * TALLY_SITES + (size_t)site];
  return n;
}

static int source_right(const Tally *t, int lang) {
  int n = 0;
  for (size_t q = 0; q < t->count; q++) n += belongs(t, q, lang, -1) && t->source[q];
  return n;
}

static void print_languages(const Tally *t, const char *source_name, const Config *coarse,
                            const Config chosen[2]) {
  char name[40];
  config_name(t, *coarse, name);
  printf("%-8s %9s  %14s  %9s  %11s  %16s  %13s  %11s\n", "", "questions", source_name, "untouched",
         name, "the same from", "best of other", "oracle: any");
  printf("%-8s %9s  %14s  %9s  %11s  %16s  %13s  %6s %4d\n", "language", "", "by itself", "", "",
         "another question", "half", "of", site_count(t) * t->layers * t->layers + 1);
  for (int l = 0; l <= t->lang_count; l++) {
    const int lang = l < t->lang_count ? l : -1;
    const Compared first = compare(t, *coarse, lang), second = compare_chosen(t, chosen, lang);
    char control[24] = "-";
    if (t->has_control)
      snprintf(control, sizeof control, "%.1f%%",
               percent(control_right(t, coarse->site, lang), first.n));
    printf("%-8s %9d  %13.1f%%  %8.1f%%  %10.1f%%  %16s  %12.1f%%  %10.1f%%\n",
           lang < 0 ? "all" : t->langs[l], first.n, percent(source_right(t, lang), first.n),
           percent(first.vanilla, first.n), percent(first.right, first.n), control,
           percent(second.right, first.n), percent(oracle(t, lang), first.n));
  }
}

/* Percent right for every pair of layers, with the means of rows and columns. */
static void print_grid(const Tally *t, int site) {
  printf("\n%s: percent right, source layer down, target layer across\n      ",
         t->site_names[site]);
  for (int j = 0; j < t->layers; j++) printf(" %4d", j);
  printf("   mean\n");
  for (int i = 0; i <= t->layers; i++) {
    double sum = 0;
    if (i < t->layers)
      printf("%5d ", i);
    else
      printf(" mean ");
    for (int j = 0; j < t->layers; j++) {
      double value = 0;
      if (i < t->layers) value = percent(right_of(t, (Config){site, i, j}, -1, -1), (int)t->count);
      for (int k = 0; i == t->layers && k < t->layers; k++)
        value += percent(right_of(t, (Config){site, k, j}, -1, -1), (int)t->count) / t->layers;
      sum += value;
      printf(" %4.0f", value);
    }
    printf("   %4.0f\n", sum / t->layers);
  }
}

/* ---- words ----------------------------------------------------------------------------------- */

#define SIGNIFICANT 0.05
#define SURE 0.001 /* of one shuffle of the source prompts */

static void print_gain(const char *lead, const Compared *c) {
  const double gain = percent(c->right - c->vanilla, c->n), error = 1.96 * gain_error(c),
               p = sign_test(c);
  printf("%s: %.1f%% instead of %.1f%%, %+.1f points (95%% interval %+.1f to %+.1f).\n  %d answers "
         "became right and %d wrong; by chance so uneven a split comes with probability %.2g.\n",
         lead, percent(c->right, c->n), percent(c->vanilla, c->n), gain, gain - error, gain + error,
         c->gained, c->lost, p);
  if (p >= SIGNIFICANT)
    printf("  That is not distinguishable from untouched at %d questions.\n", c->n);
}

/* The accuracy of the coarse transplants when their source prompt asks something else. */
static void print_control(const Tally *t) {
  for (int s = 0; s < t->sites && t->has_control; s++) {
    if (!tally_is_headline(t, s)) continue;
    Compared c = {0}; /* "vanilla" is the control */
    for (size_t q = 0; q < t->count; q++) {
      const bool own = *right_at(t, q, s, 0, 0), other = t->control[q * TALLY_SITES + (size_t)s];
      c.n++;
      c.right += own;
      c.vanilla += other;
      c.gained += own && !other;
      c.lost += other && !own;
    }
    const double p = sign_test(&c);
    printf("  %s 0->0: %.1f%% with its own source, %.1f%% with another question's (p = %.2g)%s\n",
           t->site_names[s], percent(c.right, c.n), percent(c.vanilla, c.n), p,
           p < SURE          ? ": the question's own content is carried over."
           : p < SIGNIFICANT ? ": a little of the question's own content seems to arrive."
                             : ": no content of the question is shown to arrive.");
  }
}

static void print_where(const Tally *t, int vanilla) {
  int better = 0, worse = 0, all = 0;
  for (int s = 0; s < t->sites; s++) {
    double rows[2] = {0}, columns[2] = {0}; /* first layer, all the others */
    for (int i = 0; i < t->layers; i++)
      for (int j = 0; j < t->layers; j++) {
        const int n = right_of(t, (Config){s, i, j}, -1, -1);
        if (tally_is_headline(t, s)) {
          all++;
          better += n > vanilla;
          worse += n < vanilla;
        }
        rows[i > 0] += percent(n, (int)t->count) / (i > 0 ? t->layers - 1 : 1) / t->layers;
        columns[j > 0] += percent(n, (int)t->count) / (j > 0 ? t->layers - 1 : 1) / t->layers;
      }
    printf("  %s: taken from the first layer %.0f%% right on average, from the others %.0f%%; put "
           "into the first %.0f%%, into the others %.0f%%.\n",
           t->site_names[s], rows[0], rows[1], columns[0], columns[1]);
  }
  char names[80];
  site_list(t, true, names);
  printf("Of all %d configurations of %s %d do better than the untouched run, %d worse.\n", all,
         names, better, worse);
}

/* The sites that the columns leave out, and why. */
static void print_streams(const Tally *t) {
  char names[80];
  site_list(t, false, names);
  if (!names[0]) return;
  const Config chosen[2] = {best_config(t, 0, false), best_config(t, 1, false)};
  const Compared c = compare_chosen(t, chosen, -1);
  printf("Not in these columns: %s. They move the whole residual stream, so that from late layers "
         "the source prompt's answer is copied: the last\n"
         "layer's block output, put into the last layer, makes the first token the source prompt's "
         "own by definition. With them the best of the other\n"
         "half gives %.1f%%, which says nothing about what the target prompt understands.\n",
         names, percent(c.right, c.n));
}

static void print_baselines(const Tally *t, const TallyWords *words, const Compared *chosen) {
  const int source = source_right(t, -1), n = (int)t->count;
  char names[80];
  site_list(t, true, names);
  printf("%s gives %.1f%% by itself, without any transplant: the baseline to beat. ", words->asking,
         percent(source, n));
  if (source >= chosen->right)
    printf("No choice of %s here does; they show what is\ncarried over, not a better way to ask.\n",
           names);
  else
    printf("What was chosen on the other half gives %.1f%%.\n", percent(chosen->right, n));
  printf("\"Oracle\" counts a question as right if any of its %d responses is: it knows the answer "
         "when it picks, as no method can.\n",
         site_count(t) * t->layers * t->layers + 1);
}

void tally_print(const Tally *t, const TallyWords *words) {
  int ffn = 0, vanilla = 0;
  for (int s = 0; s < t->sites; s++)
    if (strcmp(t->site_names[s], "ffn") == 0) ffn = s;
  for (size_t q = 0; q < t->count; q++) vanilla += t->vanilla[q];
  const Config coarse = {ffn, 0, 0}, chosen[2] = {best_config(t, 0, true), best_config(t, 1, true)},
               best = best_config(t, -1, true);
  char names[2][40], best_name[40], sites[80], lead[120];
  printf("\n== %s ==\n\n", words->title);
  print_languages(t, words->source_name, &coarse, chosen);
  for (int s = 0; s < t->sites; s++) print_grid(t, s);
  const Compared first = compare(t, coarse, -1), second = compare_chosen(t, chosen, -1);
  for (int k = 0; k < 2; k++) config_name(t, chosen[k], names[k]);
  config_name(t, best, best_name);
  site_list(t, true, sites);
  printf("\n");
  snprintf(lead, sizeof lead, "%s %s from the first layer into the first",
           strcmp(t->site_names[ffn], "ffn") == 0 ? "The paper's fixed choice for generation,"
                                                  : "Fixed:",
           t->site_names[ffn]);
  print_gain(lead, &first);
  if (t->has_control)
    printf("Control, the source prompt of another question of the same language and kind in place "
           "of its own:\n");
  print_control(t);
  printf("Chosen among %s on one half of the questions (%s; %s) and tried on the other half", sites,
         names[0], names[1]);
  print_gain("", &second);
  printf("The best of all on these same questions is %s with %.1f%%: a figure that is too good by "
         "construction, since it was picked by them.\n",
         best_name, percent(right_of(t, best, -1, -1), (int)t->count));
  print_baselines(t, words, &second);
  print_where(t, vanilla);
  print_streams(t);
}
