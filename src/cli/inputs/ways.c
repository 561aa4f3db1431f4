/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/ways.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MOST 3
_Static_assert(XT_RULE_COUNT <= NAMES_MOST && XT_POSITIONS_COUNT <= NAMES_MOST, "has room");

static const char *rule_name(int k) { return xt_rule_name((xt_rule)k); }
static const char *positions_name(int k) { return xt_positions_name((xt_positions)k); }

/* Sets has[k] for each name of a list; false: it has others, or one twice. */
static bool read_names(const char *text, const char *(*name)(int), bool has[NAMES_MOST]) {
  while (text) {
    const size_t length = strcspn(text, ",");
    int k = 0;
    while (name(k) && (strlen(name(k)) != length || memcmp(name(k), text, length) != 0)) k++;
    if (!name(k) || has[k]) return false;
    has[k] = true;
    text = text[length] ? text + length + 1 : NULL;
  }
  return true;
}

static bool read_alphas(const char *text, float out[SITE_LIST_MAX], size_t *count) {
  for (*count = 0; text && *count < SITE_LIST_MAX; ++*count) {
    char *end;
    if (!*text || strchr(" \t\n,", *text)) return false;
    const double alpha = strtod(text, &end);
    if ((*end && *end != ',') || !(alpha >= -XT_ALPHA_MOST && alpha <= XT_ALPHA_MOST)) return false;
    out[*count] = (float)alpha + 0.0f; /* no negative zero */
    text = *end ? end + 1 : NULL;
  }
  return !text;
}

/* "0,3,8-11" into the bits of a site; false: it is no list of heads. */
static bool read_heads(const char *text, uint64_t out[XT_SITE_HEAD_WORDS]) {
  while (text) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    const long from = strtol(text, &end, 10);
    long to = from;
    if (*end == '-') {
      if (end[1] < '0' || end[1] > '9') return false;
      to = strtol(end + 1, &end, 10);
    }
    if ((*end && *end != ',') || to < from || to >= XT_SITE_HEADS) return false;
    for (long h = from; h <= to; h++) out[h / 64] |= UINT64_C(1) << h % 64;
    text = *end ? end + 1 : NULL;
  }
  return true;
}

/* One way for each of the positions. */
static void add_ways(Ways *ways, const bool *positions, const xt_site *heads, xt_rule rule,
                     float alpha) {
  for (int p = 0; p < XT_POSITIONS_COUNT; p++) {
    if (!positions[p]) continue;
    if (ways->count < SITE_LIST_MAX) {
      xt_site *way = &ways->at[ways->count];
      *way = *heads;
      way->rule = rule;
      way->alpha = alpha;
      way->span = ways->span > 1 ? ways->span : 0;
      way->positions = (xt_positions)p;
    }
    ways->count++;
  }
}

int ways_read(const Cli *cli, Ways *ways) {
  xt_site heads = {0};
  float alphas[SITE_LIST_MAX];
  size_t alpha_count;
  bool rules[NAMES_MOST] = {false}, positions[NAMES_MOST] = {false};
  if (!read_names(ways->rules, rule_name, rules))
    return cli_usage(cli, "--rule: '%s' is not a list of different rules: replace, add, blend",
                     ways->rules);
  if (!read_names(ways->positions, positions_name, positions))
    return cli_usage(cli,
                     "--positions: '%s' is not a list of different positions: last, all, generated",
                     ways->positions);
  if (!read_alphas(ways->alphas, alphas, &alpha_count))
    return cli_usage(cli, "--alpha: '%s' is not a list of numbers from %.0f to %.0f", ways->alphas,
                     -XT_ALPHA_MOST, XT_ALPHA_MOST);
  if (!rules[XT_RULE_ADD] && !rules[XT_RULE_BLEND] && option_is_given(cli, "alpha"))
    return cli_usage(cli,
                     "--alpha: has no effect with --rule replace; give --rule add or --rule blend");
  if (!read_heads(ways->heads, heads.heads))
    return cli_usage(cli, "--heads: '%s' is not a list of heads below %d, such as 0,3,8-11",
                     ways->heads, XT_SITE_HEADS);
  ways->count = 0;
  if (rules[XT_RULE_REPLACE]) add_ways(ways, positions, &heads, XT_RULE_REPLACE, 0);
  for (xt_rule rule = XT_RULE_ADD; rule <= XT_RULE_BLEND; rule++)
    for (size_t a = 0; a < alpha_count && rules[rule]; a++)
      add_ways(ways, positions, &heads, rule, alphas[a]);
  if (ways->count > SITE_LIST_MAX)
    return cli_usage(cli,
                     "--alpha: makes %zu ways with --rule and --positions; at most %d are allowed",
                     ways->count, SITE_LIST_MAX);
  return EXIT_OK;
}

bool ways_are_default(const Ways *ways) {
  const xt_site *w = &ways->at[0];
  if (ways->count == 0) return true; /* they were never read */
  return ways->count == 1 && !ways->heads && w->rule == XT_RULE_REPLACE && !w->span &&
         w->positions == XT_POSITIONS_LAST;
}
