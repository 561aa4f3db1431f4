/* SPDX-License-Identifier: Apache-2.0 */
/* Coverage in words. People who did not ask must notice what is missing, so that each line begins
 * with a conspicuous word. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "analysis/coverage.h"
#include "base/mem.h"
#include "base/text_buffer.h"

const char *xt_coverage_title(const xt_coverage_row *row, char *buffer, size_t size) {
  const bool plain = row->pivot[0] == 0 || strcmp(row->pivot, "en") == 0;
  snprintf(buffer, size, "%s%s%s%s", row->title, plain ? "" : ", from ", plain ? "" : row->pivot,
           row->cot ? ", CoT" : "");
  return buffer;
}

bool xt_coverage_is_whole(const xt_coverage *c) {
  for (size_t i = 0; i < c->count; i++) {
    const xt_coverage_row *row = &c->rows[i];
    if (row->present < row->planned) return false;
    for (size_t s = 0; s < row->site_count; s++)
      if (row->sites[s].present < row->sites[s].planned &&
          strcmp(row->sites[s].site, "source") != 0)
        return false;
  }
  return true;
}

static xt_status add_note(xt_coverage *c, const TextBuffer *text, xt_error *error) {
  char *copy;
  if (text->failed) return err_memory(error, 0);
  TRY(MEM_GROW(&c->notes, &c->note_capacity, c->note_count + 1, error));
  TRY(ARENA_ALLOC(&c->arena, &copy, text->size + 1, error));
  memcpy(copy, text->data, text->size);
  c->notes[c->note_count++] = copy;
  return XT_STATUS_OK;
}

static const xt_coverage_site *site_of(const xt_coverage_row *row, const char *name) {
  for (size_t s = 0; s < row->site_count; s++)
    if (strcmp(row->sites[s].site, name) == 0) return &row->sites[s];
  return NULL;
}

/* ", de 10 of 40, sw 0 of 40" for the languages that lack something. `site` NULL: questions. */
static void add_languages(TextBuffer *out, const xt_coverage_row *languages, size_t count,
                          const char *site) {
  const char *before = ": ";
  for (size_t l = 0; l < count; l++) {
    const xt_coverage_row *row = &languages[l];
    const xt_coverage_site *of = site ? site_of(row, site) : NULL;
    const uint64_t present = !site ? row->present
                             : of  ? of->present
                                   : 0,
                   planned = !site ? row->planned
                             : of  ? of->planned
                                   : 0;
    if (present >= planned) continue;
    text_buffer_format(out, "%s%s %llu of %llu", before, row->lang[0] ? row->lang : "no language",
                       (unsigned long long)present, (unsigned long long)planned);
    before = ", ";
  }
}

static xt_status note_questions(xt_coverage *c, const xt_coverage_row *all,
                                const xt_coverage_row *languages, size_t count, const char *title,
                                xt_error *error) {
  TextBuffer text = {0};
  size_t there = 0;
  if (all->present >= all->planned) return XT_STATUS_OK;
  for (size_t l = 0; l < count; l++) there += languages[l].present > 0;
  text_buffer_format(&text,
                     "INCOMPLETE: %s: %zu of %zu questions are there, in %zu of %zu languages",
                     title, all->present, all->planned, there, count);
  add_languages(&text, languages, count, NULL);
  text_buffer_add_text(&text, ". Every figure is of these alone");
  const xt_status status = add_note(c, &text, error);
  text_buffer_free(&text);
  return status;
}

static xt_status note_responses(xt_coverage *c, const xt_coverage_site *site,
                                const xt_coverage_row *languages, size_t count, const char *title,
                                xt_error *error) {
  TextBuffer text = {0};
  if (site->present >= site->planned) return XT_STATUS_OK;
  const bool untouched = strcmp(site->site, "vanilla") == 0;
  text_buffer_format(&text, "INCOMPLETE: %s, %s: %llu of %llu responses are there", title,
                     untouched ? "untouched runs" : site->site, (unsigned long long)site->present,
                     (unsigned long long)site->planned);
  add_languages(&text, languages, count, site->site);
  const xt_status status = add_note(c, &text, error);
  text_buffer_free(&text);
  return status;
}

static xt_status note_measured(xt_coverage *c, const xt_coverage_site *site, const char *title,
                               xt_error *error) {
  static const char *const names[] = {"standalone perplexity", "conditional perplexity",
                                      "language"};
  const uint64_t measured[] = {site->standalone, site->conditional, site->language};
  TextBuffer text = {0};
  for (size_t m = 0; m < 3; m++) {
    if (measured[m] == 0 || measured[m] >= site->present) continue;
    text_buffer_format(&text, "%s%s of %llu", text.size ? ", " : "", names[m],
                       (unsigned long long)measured[m]);
  }
  if (!text.size && !text.failed) return XT_STATUS_OK;
  TextBuffer whole = {0};
  text_buffer_format(&whole,
                     "PARTLY MEASURED: %s, %s: %s of its %llu responses. Means are of these alone; "
                     "metrics measures the others",
                     title, site->site, text.data ? text.data : "",
                     (unsigned long long)site->present);
  const xt_status status = text.failed ? err_memory(error, 0) : add_note(c, &whole, error);
  text_buffer_free(&text);
  text_buffer_free(&whole);
  return status;
}

static xt_status note_limits(xt_coverage *c, const xt_coverage_row *all, const char *title,
                             xt_error *error) {
  TextBuffer text = {0};
  if (!all->too_long && all->dataset <= all->planned) return XT_STATUS_OK;
  text_buffer_format(&text, "A PART: %s: %zu of the dataset's %zu questions were asked for", title,
                     all->planned + all->too_long,
                     all->dataset ? all->dataset : all->planned + all->too_long);
  if (all->too_long)
    text_buffer_format(&text, ", and %zu of them left out, as they are too long for the model",
                       all->too_long);
  const xt_status status = add_note(c, &text, error);
  text_buffer_free(&text);
  return status;
}

/* `languages`: the rows before `all`, which is their sum. */
static xt_status note_group(xt_coverage *c, const xt_coverage_row *all,
                            const xt_coverage_row *languages, size_t count, xt_error *error) {
  char title[160];
  xt_coverage_title(all, title, sizeof title);
  TRY(note_limits(c, all, title, error));
  TRY(note_questions(c, all, languages, count, title, error));
  for (size_t s = 0; s < all->site_count; s++)
    if (strcmp(all->sites[s].site, "source") != 0)
      TRY(note_responses(c, &all->sites[s], languages, count, title, error));
  for (size_t s = 0; s < all->site_count; s++)
    if (strcmp(all->sites[s].site, "source") != 0)
      TRY(note_measured(c, &all->sites[s], title, error));
  return XT_STATUS_OK;
}

xt_status coverage_make_notes(xt_coverage *c, xt_error *error) {
  size_t first = 0;
  for (size_t i = 0; i < c->count; i++) {
    if (c->rows[i].lang) continue;
    TRY(note_group(c, &c->rows[i], &c->rows[first], i - first, error));
    first = i + 1;
  }
  return XT_STATUS_OK;
}
