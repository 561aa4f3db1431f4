/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* strnlen */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/number.h"
#include "engine/session.h"

#define HEADS_SIZE 64 /* of the part of a name that lists heads */

static const char tap_letters[XT_TAP_COUNT + 1] = "amfo";

static const struct {
  const char *name;
  xt_tap read, write;
} named[] = {
    {"attn", XT_TAP_ATTN, XT_TAP_ATTN},
    {"ffn", XT_TAP_FFN, XT_TAP_FFN},
    {"block", XT_TAP_BLOCK, XT_TAP_BLOCK},
    {"attn-released", XT_TAP_MID, XT_TAP_ATTN},
};

const char *xt_control_name(xt_control control) {
  static const char *const names[XT_CONTROL_COUNT] = {[XT_CONTROL_SELF] = "self",
                                                      [XT_CONTROL_SHUFFLED] = "shuffled",
                                                      [XT_CONTROL_RANDOM] = "random",
                                                      [XT_CONTROL_MEAN] = "mean"};
  return (unsigned)control < XT_CONTROL_COUNT ? names[control] : NULL;
}

const char *xt_rule_name(xt_rule rule) {
  static const char *const names[] = {
      [XT_RULE_REPLACE] = "replace", [XT_RULE_ADD] = "add", [XT_RULE_BLEND] = "blend"};
  return (unsigned)rule < sizeof names / sizeof *names ? names[rule] : NULL;
}

const char *xt_positions_name(xt_positions positions) {
  static const char *const names[XT_POSITIONS_COUNT] = {[XT_POSITIONS_LAST] = "last",
                                                        [XT_POSITIONS_ALL] = "all",
                                                        [XT_POSITIONS_GENERATED] = "generated"};
  return (unsigned)positions < XT_POSITIONS_COUNT ? names[positions] : NULL;
}

static bool parse_taps(const char *text, size_t length, xt_site *out) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (strlen(named[i].name) == length && memcmp(text, named[i].name, length) == 0) {
      *out = (xt_site){.read = named[i].read, .write = named[i].write};
      return true;
    }
  if (length != 3 || text[1] != ':') return false;
  const char *read = memchr(tap_letters, text[0], XT_TAP_COUNT),
             *write = memchr(tap_letters, text[2], XT_TAP_COUNT);
  if (!read || !write) return false;
  *out = (xt_site){.read = (xt_tap)(read - tap_letters), .write = (xt_tap)(write - tap_letters)};
  return true;
}

/* ---- what follows the taps ------------------------------------------------------------------- */

/* The rest of `text` behind `word`; NULL: it does not begin with it. */
static const char *after(const char *text, const char *word) {
  const size_t length = strlen(word);
  return strncmp(text, word, length) == 0 ? text + length : NULL;
}

/* A number as xt_site_format writes it: decimal, without leading zeros, and not 0; up to the next
 * modifier. Returns what follows it. */
static const char *parse_number(const char *text, uint32_t *out) {
  uint64_t number = 0;
  if (*text < '1' || *text > '9') return NULL;
  for (; *text >= '0' && *text <= '9' && number <= UINT32_MAX; text++)
    number = 10 * number + (uint64_t)(*text - '0');
  *out = (uint32_t)number;
  return number <= UINT32_MAX ? text : NULL;
}

/* The fewest digits that read back as this factor. */
static void format_alpha(float alpha, char out[32]) {
  for (int digits = 1; digits <= 9; digits++) {
    number_print(out, 32, "%.*g", digits, (double)alpha);
    if ((float)number_read(out, NULL) == alpha && !strchr(out, '+')) return;
  }
}

static const char *parse_alpha(const char *text, float *out) {
  char *end, own[32];
  if (*text != '-' && (*text < '0' || *text > '9')) return NULL;
  const double alpha = number_read(text, &end);
  if (!(alpha >= -XT_ALPHA_MOST && alpha <= XT_ALPHA_MOST)) return NULL;
  *out = (float)alpha + 0.0f; /* no negative zero */
  format_alpha(*out, own);
  return strlen(own) == (size_t)(end - text) && memcmp(own, text, strlen(own)) == 0 ? end : NULL;
}

/* Each takes one modifier, behind its plus sign, into the site, and returns what follows it;
 * NULL: it is none of its kind. */
static const char *parse_rule(const char *text, xt_site *out) {
  for (xt_rule rule = XT_RULE_ADD; rule <= XT_RULE_BLEND; rule++) {
    const char *number = after(text, xt_rule_name(rule));
    if (!number) continue;
    out->rule = rule;
    return parse_alpha(number, &out->alpha);
  }
  return NULL;
}

static const char *const from_names[XT_FROM_COUNT] = {
    [XT_FROM_LANGS] = "langs.", [XT_FROM_VECTOR] = "vector.", [XT_FROM_PLAN] = "plan."};

static size_t label_length(const char *text) {
  return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
}

static const char *parse_from(const char *text, xt_site *out) {
  for (xt_from from = XT_FROM_LANGS; from < XT_FROM_PLAN; from++) {
    const char *label = after(text, from_names[from]);
    const size_t length = label ? label_length(label) : 0;
    if (length == 0 || length >= sizeof out->label) continue;
    out->from = from;
    memcpy(out->label, label, length);
    return label + length;
  }
  return NULL;
}

bool site_has_head(const xt_site *site, int head) {
  return head >= 0 && head < XT_SITE_HEADS && site->heads[head / 64] >> head % 64 & 1;
}

int site_heads(const xt_site *site) {
  int n = 0;
  for (int word = 0; word < XT_SITE_HEAD_WORDS; word++)
    n += __builtin_popcountll(site->heads[word]);
  return n;
}

void xt_site_each_write(const xt_site *site, int layers, int heads, int source, int target,
                        void (*write)(void *user, const xt_intervention *put, int source_layer),
                        void *user) {
  static const int positions[XT_POSITIONS_COUNT] = {[XT_POSITIONS_LAST] = XT_POSITION_LAST,
                                                    [XT_POSITIONS_ALL] = XT_POSITION_ALL,
                                                    [XT_POSITIONS_GENERATED] =
                                                        XT_POSITION_GENERATED};
  const bool by_head = site_heads(site) > 0;
  const int span = site->span > 1 ? site->span : 1, last = by_head ? heads : 1;
  xt_intervention put = {.write = by_head ? XT_TAP_HEADS : site->write,
                         .position = positions[site->positions],
                         .rule = site->rule,
                         .alpha = site->alpha};
  for (int k = 0; k < span && source + k < layers && target + k < layers; k++)
    for (put.layer = target + k, put.head = 0; put.head < last; put.head++)
      if (!by_head || site_has_head(site, put.head)) write(user, &put, source + k);
}

/* The heads as runs, "0.3.8-11", into `out`; false: it is too short. */
static bool format_heads(const xt_site *site, char *out, size_t size) {
  size_t at = 0;
  out[0] = 0;
  for (int h = 0, end; h < XT_SITE_HEADS; h = end) {
    for (end = h + 1; site_has_head(site, h) && site_has_head(site, end);) end++;
    if (!site_has_head(site, h)) continue;
    const int n = end - h == 1 ? snprintf(out + at, size - at, at ? ".%d" : "%d", h)
                               : snprintf(out + at, size - at, at ? ".%d-%d" : "%d-%d", h, end - 1);
    at += (size_t)n;
    if (at >= size) return false;
  }
  return true;
}

/* A head's number, without leading zeros. */
static const char *parse_head(const char *text, int *out) {
  *out = 0;
  if (*text == '0') return text + 1;
  if (*text < '1' || *text > '9') return NULL;
  for (; *text >= '0' && *text <= '9' && *out < XT_SITE_HEADS; text++)
    *out = 10 * *out + (*text - '0');
  return *out < XT_SITE_HEADS ? text : NULL;
}

static const char *parse_heads(const char *text, xt_site *out) {
  char own[HEADS_SIZE];
  const char *at = after(text, "heads"), *const begin = at;
  for (bool more = at != NULL; more && at;) {
    int from, to;
    at = parse_head(at, &from);
    to = from;
    if (at && *at == '-') at = parse_head(at + 1, &to);
    for (int h = from; at && h <= to; h++) out->heads[h / 64] |= UINT64_C(1) << h % 64;
    more = at && *at == '.';
    at += more;
  }
  if (!at || !format_heads(out, own, sizeof own)) return NULL;
  /* only as it would be written */
  return strlen(own) == (size_t)(at - begin) && memcmp(own, begin, strlen(own)) == 0 ? at : NULL;
}

static const char *parse_span(const char *text, xt_site *out) {
  uint32_t span = 0;
  const char *number = after(text, "span"), *end = number ? parse_number(number, &span) : NULL;
  if (span < 2 || span > XT_SPAN_MOST) return NULL;
  out->span = (int)span;
  return end;
}

static const char *parse_positions(const char *text, xt_site *out) {
  for (int p = XT_POSITIONS_ALL; p < XT_POSITIONS_COUNT; p++) {
    const char *end = after(text, xt_positions_name((xt_positions)p));
    if (end) out->positions = (xt_positions)p;
    if (end) return end;
  }
  return NULL;
}

static const char *parse_control(const char *text, xt_site *out) {
  for (int control = XT_CONTROL_SELF; control < XT_CONTROL_COUNT; control++) {
    const char *end = after(text, xt_control_name((xt_control)control));
    if (!end) continue;
    out->control = (xt_control)control;
    return control != XT_CONTROL_SELF && *end ? parse_number(end, &out->seed) : end;
  }
  return NULL;
}

static const struct {
  const char *(*parse)(const char *text, xt_site *out);
} modifiers[] = {{parse_from}, {parse_heads},     {parse_rule},
                 {parse_span}, {parse_positions}, {parse_control}};

/* "+add2+span3": in the order of the table, each at most once. */
static bool parse_modifiers(const char *text, xt_site *out) {
  for (size_t i = 0; *text && i < sizeof modifiers / sizeof *modifiers; i++) {
    const char *end = *text == '+' ? modifiers[i].parse(text + 1, out) : NULL;
    if (end) text = end;
  }
  return !*text;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* "plan.NAME", "plan.NAME+shuffled" */
static bool parse_plan(const char *text, xt_site *out) {
  xt_site site = {.from = XT_FROM_PLAN, .positions = XT_POSITIONS_ALL};
  const char *label = after(text, from_names[XT_FROM_PLAN]), *end = label;
  const size_t length = label ? label_length(label) : 0;
  if (!length || length >= sizeof out->label) return false;
  end += length;
  memcpy(site.label, label, length);
  if (*end == '+') end = parse_control(end + 1, &site);
  if (!end || *end) return false;
  *out = site;
  return true;
}

xt_status xt_site_parse(const char *text, xt_site *out, xt_error *error) {
  const size_t length = strcspn(text, "+");
  xt_site site;
  if (parse_plan(text, out)) return XT_STATUS_OK;
  if (strlen(text) >= XT_SITE_NAME_SIZE || !parse_taps(text, length, &site))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "site", -1,
                   "'%.128s' is not a site; sites are attn, ffn, block, attn-released, or "
                   "READ:WRITE with each of a, m, f, o",
                   text);
  if (!parse_modifiers(text + length, &site))
    return err_set(
        error, XT_STATUS_ARGUMENT, NULL, "site", -1,
        "'%s' is not a way to write at a site; what may follow its taps is, in this "
        "order, +langs.L.L or +vector.NAME, +headsH.H-H, +addALPHA or +blendALPHA, +spanW, +all or "
        "+generated, and a control: "
        "+self, +shuffled, +random or +mean, the last three with a seed from 1 on if "
        "they have one",
        text);
  *out = site;
  return XT_STATUS_OK;
}

xt_status xt_control_parse(const char *text, xt_site *out, xt_error *error) {
  xt_site site = {0};
  const char *end = parse_control(text, &site);
  if (!end || *end)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "control", -1,
                   "'%s' is not a control; controls are self, shuffled, random and mean, the last "
                   "three with a seed from 1 on if they have one (random7)",
                   text);
  *out = site;
  return XT_STATUS_OK;
}

static size_t format_taps(xt_site site, char *buffer) {
  for (size_t i = 0; i < sizeof named / sizeof *named; i++)
    if (named[i].read == site.read && named[i].write == site.write)
      return strlen(strcpy(buffer, named[i].name));
  return (size_t)snprintf(buffer, XT_SITE_NAME_SIZE, "%c:%c", tap_letters[site.read],
                          tap_letters[site.write]);
}

static void format_control(xt_site site, char *at) {
  const char *control = xt_control_name(site.control);
  if (control && site.seed)
    sprintf(at, "+%s%lu", control, (unsigned long)site.seed);
  else if (control)
    sprintf(at, "+%s", control);
}

const char *xt_site_format(xt_site site, char *buffer) {
  char alpha[32] = "", heads[HEADS_SIZE];
  if (site.from == XT_FROM_PLAN) {
    format_control(site, buffer + sprintf(buffer, "%s%.*s", from_names[XT_FROM_PLAN],
                                          XT_LABEL_SIZE - 1, site.label));
    return buffer;
  }
  char *at = buffer + format_taps(site, buffer);
  if (site.from != XT_FROM_SOURCE && (unsigned)site.from < XT_FROM_COUNT)
    at += sprintf(at, "+%s%.*s", from_names[site.from], XT_LABEL_SIZE - 1, site.label);
  if (site_heads(&site) && format_heads(&site, heads, sizeof heads))
    at += sprintf(at, "+heads%s", heads);
  if (site.rule != XT_RULE_REPLACE && xt_rule_name(site.rule)) {
    format_alpha(site.alpha, alpha);
    at += sprintf(at, "+%s%s", xt_rule_name(site.rule), alpha);
  }
  if (site.span > 1) at += sprintf(at, "+span%d", site.span);
  if (site.positions != XT_POSITIONS_LAST && xt_positions_name(site.positions))
    at += sprintf(at, "+%s", xt_positions_name(site.positions));
  format_control(site, at);
  return buffer;
}

static bool label_is_right(const xt_site *s) {
  const size_t length = strnlen(s->label, sizeof s->label);
  if (s->from == XT_FROM_SOURCE) return length == 0;
  return (unsigned)s->from < XT_FROM_COUNT && length > 0 && length < sizeof s->label &&
         label_length(s->label) == length;
}

static bool way_is_right(const xt_site *s) {
  const bool alpha = s->alpha >= (float)-XT_ALPHA_MOST && s->alpha <= (float)XT_ALPHA_MOST;
  return xt_rule_name(s->rule) && (s->rule == XT_RULE_REPLACE ? s->alpha == 0 : alpha) &&
         (s->span == 0 || (s->span >= 2 && s->span <= XT_SPAN_MOST)) &&
         xt_positions_name(s->positions);
}

static xt_status check_heads(const xt_site *s, xt_error *error) {
  char text[HEADS_SIZE], name[XT_SITE_NAME_SIZE];
  if (s->read != XT_TAP_ATTN || s->write != XT_TAP_ATTN)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have attention heads at taps other than attn, which alone is made of heads");
  if (!format_heads(s, text, sizeof text))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have more heads than a name of %d letters can list", HEADS_SIZE - 1);
  if (s->from == XT_FROM_VECTOR)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have %s, but vectors are of a module's output, and heads are slices of what "
                   "enters its projection",
                   xt_site_format(*s, name));
  return XT_STATUS_OK;
}

xt_status site_check(const xt_site *s, xt_error *error) {
  char name[XT_SITE_NAME_SIZE];
  if ((unsigned)s->control >= XT_CONTROL_COUNT || (s->control <= XT_CONTROL_SELF && s->seed))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have no such control, or a seed with a control that draws nothing");
  if ((unsigned)s->read >= XT_TAP_COUNT || (unsigned)s->write >= XT_TAP_COUNT || !way_is_right(s) ||
      !label_is_right(s))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have one whose taps, rule, alpha, span, positions or label are not among those "
                   "of engine.h, or an alpha or label where nothing uses it");
  if (s->from == XT_FROM_PLAN && (s->read || s->write || s->rule || s->span || site_heads(s) ||
                                  s->positions != XT_POSITIONS_ALL))
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                   "have a plan with more than its label, all positions and a control");
  if (site_heads(s)) TRY(check_heads(s, error));
  if (s->from == XT_FROM_SOURCE || s->from == XT_FROM_PLAN || s->control == XT_CONTROL_NONE ||
      s->control == XT_CONTROL_SELF || s->control == XT_CONTROL_RANDOM)
    return XT_STATUS_OK;
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "sites", -1,
                 "have %s, but a site that writes no source prompt's value has only the controls "
                 "self and random",
                 xt_site_format(*s, name));
}
