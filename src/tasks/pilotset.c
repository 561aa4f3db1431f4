/* SPDX-License-Identifier: Apache-2.0 */
/* PilotSets: a benchmark as published, divided into a sample and the unseen questions, in the
 * layout of the paper's release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/options.h"
#include "base/out_folder.h"
#include "tasks/derive.h"
#include "tasks/prompt_set.h"
#include "tasks/raw.h"
#include "tasks/sample.h"

typedef struct Build {
  const TaskEntry *entry;
  const xt_pilotset_options *options;
  RawSet raw;
  PromptSet prompts;
  OutFolder out;
  const char **languages; /* NULL-terminated */
  xt_pilotset_info *info;
} Build;

/* ---- one file -------------------------------------------------------------------------------- */

typedef enum Part { PART_SAMPLE, PART_UNSEEN, PART_ALL } Part;

static bool belongs(const bool *drawn, size_t i, Part part) {
  return part == PART_ALL || drawn[i] == (part == PART_SAMPLE);
}

/* Appends one line of a folder's file, without its end, of the item or the fields that it is made
 * of. */
typedef xt_status (*MakeLine)(const Build *b, const char *lang, const json_t *from,
                              TextBuffer *line, xt_error *error);

static void add_json(TextBuffer *line, const json_t *value) {
  char *text = value ? number_json(value, JSON_ENCODE_ANY) : NULL;
  if (text)
    text_buffer_add_text(line, text);
  else
    line->failed = true;
  free(text);
}

/* As Python's repr(): the fewest digits that read back as the same number. */
static void add_number(TextBuffer *line, double value) {
  char digits[40];
  for (int precision = 15; precision <= 17; precision++) {
    number_print(digits, sizeof digits, "%.*g", precision, value);
    if (number_read(digits, NULL) == value) break;
  }
  text_buffer_add_text(line, digits);
  if (strspn(digits, "-0123456789") == strlen(digits)) text_buffer_add_text(line, ".0");
}

static xt_status make_prompt(const Build *b, const char *lang, const json_t *fields,
                             TextBuffer *line, xt_error *error) {
  TextBuffer text = {0};
  const xt_status status = prompt_set_fill(&b->prompts, lang, fields, &text, error);
  json_t *prompt = status ? NULL : json_stringn(text.data, text.size);
  if (!status) add_json(line, prompt);
  json_decref(prompt);
  text_buffer_free(&text);
  return status;
}

/* As make_prompt, whatever language the line belongs to. */
static xt_status make_english(const Build *b, const char *lang, const json_t *fields,
                              TextBuffer *line, xt_error *error) {
  (void)lang;
  return make_prompt(b, TASK_PIVOT, fields, line, error);
}

/* Cultures: the English prompt, with its country and, of GlobalOpinionQA, the options'
 * probabilities. */
static xt_status make_split(const Build *b, const char *lang, const json_t *item, TextBuffer *line,
                            xt_error *error) {
  const json_t *fields = json_object_get(item, "fields"), *label = json_object_get(item, "label");
  if (b->entry->task.direction == XT_DIRECTION_TO_LANGUAGE)
    return make_prompt(b, lang, fields, line, error);
  text_buffer_add_text(line, "{\"input_text\": ");
  TRY(make_prompt(b, TASK_PIVOT, fields, line, error));
  if (label) text_buffer_add_text(line, ", \"label\": [");
  for (size_t i = 0; i < json_array_size(label); i++) {
    if (i) text_buffer_add_text(line, ", ");
    add_number(line, json_number_value(json_array_get(label, i)));
  }
  text_buffer_add_text(line, label ? "], \"country\": " : ", \"country\": ");
  add_json(line, json_object_get(item, "country"));
  text_buffer_add_text(line, "}");
  return XT_STATUS_OK;
}

static xt_status make_gold(const Build *b, const char *lang, const json_t *item, TextBuffer *line,
                           xt_error *error) {
  (void)b, (void)lang, (void)error;
  add_json(line, json_object_get(item, "gold"));
  return XT_STATUS_OK;
}

static xt_status make_fields(const Build *b, const char *lang, const json_t *item, TextBuffer *line,
                             xt_error *error) {
  json_t *value;
  (void)b, (void)lang;
  TRY(raw_translation_line(item, &value, error));
  add_json(line, value);
  json_decref(value);
  return XT_STATUS_OK;
}

static xt_status make_words(const Build *b, const char *lang, const json_t *item, TextBuffer *line,
                            xt_error *error) {
  json_t *words;
  (void)item;
  TRY(prompt_set_words(&b->prompts, lang, &words, error));
  add_json(line, words);
  json_decref(words);
  return XT_STATUS_OK;
}

static xt_status put_line(const Build *b, FILE *stream, MakeLine make, const char *lang,
                          const json_t *from, xt_error *error) {
  TextBuffer line = {0};
  xt_status status = make(b, lang, from, &line, error);
  text_buffer_add_text(&line, "\n");
  if (!status && line.failed) status = err_memory(error, line.size);
  if (!status)
    fwrite(line.data, 1, line.size, stream); /* a failure is reported when the file is closed */
  text_buffer_free(&line);
  return status;
}

/* "XQuAD_sample/split/xquad.de.json"; PART_ALL is "fields/de.jsonl". */
static void file_name(const Build *b, Part part, const char *folder, const char *lang,
                      const char *pattern, char out[256]) {
  static const char *const names[] = {"_sample/", "_unseen/", ""};
  const char *percent = strstr(pattern, "%s"); /* the table's pattern, not a format */
  snprintf(out, 256, "%s%s%s/%.*s%.40s%s", part == PART_ALL ? "" : b->entry->task.title,
           names[part], folder, (int)(percent - pattern), pattern, lang, percent + 2);
}

/* The lines of a part. `from` are the items, or the source prompts' fields; NULL: one line, of no
 * item. */
static xt_status write_lines(Build *b, Part part, const char *folder, const char *pattern,
                             const char *lang, const json_t *from, const bool *drawn, MakeLine make,
                             xt_error *error) {
  char name[256];
  FILE *stream;
  size_t i;
  json_t *item;
  xt_error ignored;
  file_name(b, part, folder, lang, pattern, name);
  TRY(out_folder_file(&b->out, name, &stream, error));
  xt_status status = from ? XT_STATUS_OK : put_line(b, stream, make, lang, NULL, error);
  json_array_foreach(from, i, item) if (!status && belongs(drawn, i, part)) status =
      put_line(b, stream, make, lang, item, error);
  const xt_status closed = out_folder_close(&b->out, stream, status ? &ignored : error);
  return status ? status : closed;
}

/* ---- a language ------------------------------------------------------------------------------ */

static xt_status write_part(Build *b, Part part, const char *lang, const bool *drawn,
                            xt_error *error) {
  const TaskEntry *e = b->entry;
  const json_t *items = json_object_get(b->raw.items, lang),
               *sources = json_object_get(b->raw.sources, lang);
  TRY(write_lines(b, part, "split", e->file, lang, items, drawn, make_split, error));
  if (e->gold == GOLD_ANSWER_FILE)
    TRY(write_lines(b, part, "ans", e->file, lang, items, drawn, make_gold, error));
  if (e->option_words)
    TRY(write_lines(b, part, "ans_lang", "%s.json", lang, NULL, NULL, make_words, error));
  if (!sources) return XT_STATUS_OK;
  if (e->english_folder)
    return write_lines(b, part, e->english_folder, e->file, lang, sources, drawn, make_english,
                       error);
  return write_lines(b, part, e->source_folder, e->file, lang, sources, drawn, make_prompt, error);
}

static xt_status write_language(Build *b, const char *lang, xt_error *error) {
  const json_t *items = json_object_get(b->raw.items, lang);
  const size_t all = json_array_size(items), count = b->options->count;
  size_t *numbers = NULL;
  bool *drawn = NULL;
  xt_status status;
  if (count > all)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "count", -1,
                   "%zu questions were asked for, and %s has %zu in '%.20s'; ask for fewer, or for "
                   "0 to have all of them unseen",
                   count, b->entry->task.title, all, lang);
  TRY_DONE(MEM_ALLOC(&numbers, count, error));
  TRY_DONE(MEM_ALLOC(&drawn, all, error));
  TRY_DONE(sample_draw(b->options->seed, all, count, numbers, error));
  for (size_t i = 0; i < count; i++) drawn[numbers[i]] = true;
  if (count) TRY_DONE(write_part(b, PART_SAMPLE, lang, drawn, error));
  if (count < all) TRY_DONE(write_part(b, PART_UNSEEN, lang, drawn, error));
  if (b->entry->task.direction == XT_DIRECTION_FROM_LANGUAGE &&
      !json_object_get(b->raw.sources, lang)) {
    b->info->untranslated++;
    TRY_DONE(
        write_lines(b, PART_ALL, "fields", "%s.jsonl", lang, items, drawn, make_fields, error));
  }
  if (b->entry->english_folder && strcmp(lang, TASK_PIVOT) != 0 &&
      !json_object_get(b->raw.sources, lang))
    b->info->untranslated++;
  b->info->languages++;
  b->info->sample += count;
  b->info->unseen += all - count;
done:
  free(numbers);
  free(drawn);
  return status;
}

/* ---- all ------------------------------------------------------------------------------------- */

static xt_status choose_languages(Build *b, xt_error *error) {
  const xt_pilotset_options *o = b->options;
  const xt_task *task = &b->entry->task;
  size_t count = 0;
  while (task->languages[count]) count++;
  if (o->languages) count = o->language_count;
  TRY(MEM_ALLOC(&b->languages, count + 1, error));
  for (size_t i = 0; i < count; i++)
    b->languages[i] = o->languages ? o->languages[i] : task->languages[i];
  return task_check_languages(task, o->languages, o->languages ? count : 0, error);
}

/* Writes the derived templates in the form that --templates reads. */
static xt_status write_templates(Build *b, xt_error *error) {
  FILE *stream;
  char *text = number_json(b->prompts.file, JSON_INDENT(1) | JSON_SORT_KEYS);
  if (!text) return err_memory(error, 0);
  xt_status status = out_folder_file(&b->out, "templates.json", &stream, error);
  if (!status) {
    fprintf(stream, "%s\n", text); /* a failure is reported when the file is closed */
    status = out_folder_close(&b->out, stream, error);
  }
  free(text);
  return status;
}

xt_status xt_pilotset_build(const xt_task *task, const char *raw, const char *output,
                            const xt_pilotset_options *options, xt_pilotset_info *info,
                            xt_error *error) {
  TRY(OPTIONS_CHECK(options, error));
  const xt_pilotset_options defaults = {.seed = 666, .count = 50};
  xt_pilotset_info ignored;
  Build b = {.entry = task_entry(task),
             .options = options ? options : &defaults,
             .info = info ? info : &ignored};
  *b.info = (xt_pilotset_info){0};
  xt_status status;
  TRY_DONE(task_check_published(task, error));
  TRY_DONE(choose_languages(&b, error));
  const RawOptions how = {.directory = raw,
                          .split = b.options->split ? b.options->split : "test",
                          .translations = b.options->translations,
                          .english = b.options->english,
                          .languages = b.languages};
  const char *from = b.options->templates_from;
  if (!from) TRY_DONE(prompt_set_open(b.entry, b.options->templates, &b.prompts, error));
  TRY_DONE(out_folder_open(output, &b.out, error));
  TRY_DONE(raw_read(b.entry, &how, &b.raw, error));
  if (from)
    TRY_DONE(
        derive_templates(b.entry, from, b.languages, &b.raw, b.options, &b.prompts, b.info, error));
  if (from) TRY_DONE(write_templates(&b, error));
  b.info->left_out = b.raw.left_out;
  for (size_t i = 0; b.languages[i]; i++) TRY_DONE(write_language(&b, b.languages[i], error));
  TRY_DONE(out_folder_commit(&b.out, error));
done:
  out_folder_discard(&b.out);
  prompt_set_close(&b.prompts);
  raw_free(&b.raw);
  free(b.languages);
  return status;
}
