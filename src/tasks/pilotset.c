/* PilotSets: a benchmark as published, cut into a sample and the unseen rest, in the layout of the paper's release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/out_folder.h"
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

/* ---- one file ---------------------------------------------------------------------------------- */

typedef enum Part { PART_SAMPLE, PART_UNSEEN, PART_ALL } Part;

static bool belongs(const bool *drawn, size_t i, Part part) { return part == PART_ALL || drawn[i] == (part == PART_SAMPLE); }

static xt_status put_line(FILE *stream, const json_t *value, xt_error *error) {
  if (!value || json_dumpf(value, stream, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) != 0) return ferror(stream) ? XT_STATUS_OK : err_memory(error, 0);
  fputc('\n', stream); /* a write that failed is told when the file is closed */
  return XT_STATUS_OK;
}

/* What one line of a folder's file is, of the item or the fields it is made of; NULL: memory ran out. */
typedef xt_status (*MakeLine)(const Build *b, const char *lang, const json_t *from, json_t **line, xt_error *error);

static xt_status make_prompt(const Build *b, const char *lang, const json_t *fields, json_t **line, xt_error *error) {
  TextBuffer text = {0};
  *line = NULL;
  const xt_status status = prompt_set_fill(&b->prompts, lang, fields, &text, error);
  if (!status) *line = json_stringn(text.data, text.size);
  text_buffer_free(&text);
  return status;
}

/* As make_prompt, whatever language the line belongs to. */
static xt_status make_english(const Build *b, const char *lang, const json_t *fields, json_t **line, xt_error *error) {
  (void)lang;
  return make_prompt(b, TASK_PIVOT, fields, line, error);
}

/* Cultures: the English prompt, with its country and, of GlobalOpinionQA, the options' probabilities. */
static xt_status make_split(const Build *b, const char *lang, const json_t *item, json_t **line, xt_error *error) {
  json_t *prompt, *object = NULL;
  const bool culture = b->entry->task.direction == XT_DIRECTION_FROM_LANGUAGE;
  TRY(make_prompt(b, culture ? TASK_PIVOT : lang, json_object_get(item, "fields"), &prompt, error));
  *line = prompt;
  if (!culture) return XT_STATUS_OK;
  bool ok = prompt && (object = json_object()) && json_object_set(object, "input_text", prompt) == 0;
  ok = ok && (!json_object_get(item, "label") || json_object_set(object, "label", json_object_get(item, "label")) == 0);
  ok = ok && json_object_set(object, "country", json_object_get(item, "country")) == 0;
  json_decref(prompt);
  if (!ok) json_decref(object);
  *line = ok ? object : NULL;
  return XT_STATUS_OK;
}

static xt_status make_gold(const Build *b, const char *lang, const json_t *item, json_t **line, xt_error *error) {
  (void)b, (void)lang, (void)error;
  *line = json_incref(json_object_get(item, "gold"));
  return XT_STATUS_OK;
}

static xt_status make_fields(const Build *b, const char *lang, const json_t *item, json_t **line, xt_error *error) {
  (void)b, (void)lang;
  return raw_translation_line(item, line, error);
}

/* "XQuAD_sample/split/xquad.de.json"; PART_ALL is "fields/de.jsonl". */
static void file_name(const Build *b, Part part, const char *folder, const char *lang, const char *pattern, char out[256]) {
  static const char *const names[] = {"_sample/", "_unseen/", ""};
  const char *percent = strstr(pattern, "%s"); /* the table's pattern, not a format */
  snprintf(out, 256, "%s%s%s/%.*s%.40s%s", part == PART_ALL ? "" : b->entry->task.title, names[part], folder, (int)(percent - pattern), pattern, lang,
           percent + 2);
}

/* The lines of a part. `from` are the items, or the source prompts' fields. */
static xt_status write_lines(Build *b, Part part, const char *folder, const char *pattern, const char *lang, const json_t *from, const bool *drawn,
                             MakeLine make, xt_error *error) {
  char name[256];
  FILE *stream;
  size_t i;
  json_t *item;
  xt_error ignored;
  file_name(b, part, folder, lang, pattern, name);
  TRY(out_folder_file(&b->out, name, &stream, error));
  xt_status status = XT_STATUS_OK;
  json_array_foreach(from, i, item) {
    json_t *line = NULL;
    if (status || !belongs(drawn, i, part)) continue;
    status = make(b, lang, item, &line, error);
    if (!status) status = put_line(stream, line, error);
    json_decref(line);
  }
  const xt_status closed = out_folder_close(&b->out, stream, status ? &ignored : error);
  return status ? status : closed;
}

static xt_status write_words(Build *b, Part part, const char *lang, xt_error *error) {
  char name[256];
  json_t *words;
  FILE *stream;
  xt_error ignored;
  TRY(prompt_set_words(&b->prompts, lang, &words, error));
  file_name(b, part, "ans_lang", lang, "%s.json", name);
  xt_status status = out_folder_file(&b->out, name, &stream, error);
  if (!status) {
    status = put_line(stream, words, error);
    const xt_status closed = out_folder_close(&b->out, stream, status ? &ignored : error);
    if (!status) status = closed;
  }
  json_decref(words);
  return status;
}

/* ---- a language -------------------------------------------------------------------------------- */

static xt_status write_part(Build *b, Part part, const char *lang, const bool *drawn, xt_error *error) {
  const TaskEntry *e = b->entry;
  const json_t *items = json_object_get(b->raw.items, lang), *sources = json_object_get(b->raw.sources, lang);
  TRY(write_lines(b, part, "split", e->file, lang, items, drawn, make_split, error));
  if (e->gold == GOLD_ANSWER_FILE) TRY(write_lines(b, part, "ans", e->file, lang, items, drawn, make_gold, error));
  if (e->option_words) TRY(write_words(b, part, lang, error));
  if (!sources) return XT_STATUS_OK;
  if (e->english_folder) return write_lines(b, part, e->english_folder, e->file, lang, sources, drawn, make_english, error);
  return write_lines(b, part, e->source_folder, e->file, lang, sources, drawn, make_prompt, error);
}

static xt_status write_language(Build *b, const char *lang, xt_error *error) {
  const json_t *items = json_object_get(b->raw.items, lang);
  const size_t all = json_array_size(items), count = b->options->count;
  size_t *numbers = NULL;
  bool *drawn = NULL;
  xt_status status;
  if (count > all)
    return err_set(error, XT_STATUS_ARGUMENT, NULL, "count", -1, "%zu questions were asked for, and %s has %zu in '%.20s'; ask for fewer, or for 0 to have all of them unseen",
                   count, b->entry->task.title, all, lang);
  TRY_DONE(mem_alloc(&numbers, count, sizeof *numbers, error));
  TRY_DONE(mem_alloc(&drawn, all, sizeof *drawn, error));
  TRY_DONE(sample_draw(b->options->seed, all, count, numbers, error));
  for (size_t i = 0; i < count; i++) drawn[numbers[i]] = true;
  if (count) TRY_DONE(write_part(b, PART_SAMPLE, lang, drawn, error));
  if (count < all) TRY_DONE(write_part(b, PART_UNSEEN, lang, drawn, error));
  if (b->entry->task.direction == XT_DIRECTION_FROM_LANGUAGE && !json_object_get(b->raw.sources, lang)) {
    b->info->untranslated++;
    TRY_DONE(write_lines(b, PART_ALL, "fields", "%s.jsonl", lang, items, drawn, make_fields, error));
  }
  if (b->entry->english_folder && strcmp(lang, TASK_PIVOT) != 0 && !json_object_get(b->raw.sources, lang)) b->info->untranslated++;
  b->info->languages++;
  b->info->sample += count;
  b->info->unseen += all - count;
done:
  free(numbers);
  free(drawn);
  return status;
}

/* ---- all --------------------------------------------------------------------------------------- */

static xt_status choose_languages(Build *b, xt_error *error) {
  const xt_pilotset_options *o = b->options;
  const xt_task *task = &b->entry->task;
  size_t count = 0;
  while (task->languages[count]) count++;
  if (o->languages) count = o->language_count;
  TRY(mem_alloc(&b->languages, count + 1, sizeof *b->languages, error));
  for (size_t i = 0; i < count; i++) b->languages[i] = o->languages ? o->languages[i] : task->languages[i];
  return task_check_languages(task, o->languages, o->languages ? count : 0, error);
}

xt_status xt_pilotset_build(const xt_task *task, const char *raw, const char *output, const xt_pilotset_options *options, xt_pilotset_info *info,
                            xt_error *error) {
  const xt_pilotset_options defaults = {.seed = 666, .count = 50};
  xt_pilotset_info ignored;
  Build b = {.entry = task_entry(task), .options = options ? options : &defaults, .info = info ? info : &ignored};
  *b.info = (xt_pilotset_info){0};
  xt_status status;
  TRY_DONE(choose_languages(&b, error));
  const RawOptions how = {.directory = raw, .split = b.options->split ? b.options->split : "test", .translations = b.options->translations,
                          .languages = b.languages};
  TRY_DONE(prompt_set_open(b.entry, b.options->templates, &b.prompts, error));
  TRY_DONE(out_folder_open(output, &b.out, error));
  TRY_DONE(raw_read(b.entry, &how, &b.raw, error));
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
