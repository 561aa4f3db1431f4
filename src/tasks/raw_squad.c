/* SPDX-License-Identifier: Apache-2.0 */
/* XQuAD: DIR/xquad.<language>.json, SQuAD's {"data": [{"paragraphs": [{"context", "qas": [{"id",
 * "question", "answers": [{"text"}]}]}]}]}. The answer is the first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "tasks/raw.h"
#include "text/text_file.h"

typedef struct Place {
  const char *path, *lang;
  const json_t *first; /* the first language's items, whose ids have to be the same */
  size_t count;        /* of questions so far */
} Place;

static xt_status expected(const Place *p, const char *what, const json_t *value, const char *wanted,
                          xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, p->path, what, -1,
                 "of question %zu (from 0) is %s, expected %s", p->count, json_type_name(value),
                 wanted);
}

static xt_status get_text(const Place *p, const json_t *object, const char *key, const char **out,
                          xt_error *error) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_string(value) || !json_string_value(value)[0])
    return expected(p, key, value, "a string that is not empty", error);
  *out = json_string_value(value);
  if (strlen(*out) != json_string_length(value))
    return expected(p, key, value, "text without a NUL", error);
  return XT_STATUS_OK;
}

static xt_status add_question(Place *p, json_t *items, const char *context, const json_t *qa,
                              xt_error *error) {
  const char *id, *question, *answer;
  TRY(get_text(p, qa, "id", &id, error));
  TRY(get_text(p, qa, "question", &question, error));
  const json_t *answers = json_object_get(qa, "answers");
  if (json_array_size(answers) == 0)
    return expected(p, "answers", answers, "an array with an answer", error);
  TRY(get_text(p, json_array_get(answers, 0), "text", &answer, error));
  const json_t *same = json_object_get(json_array_get(p->first, p->count), "id");
  if (p->first && (!same || strcmp(json_string_value(same), id) != 0))
    return err_set(error, XT_STATUS_INPUT, p->path, "id", -1,
                   "of question %zu (from 0) is '%.40s', and the first language has '%.40s' there; "
                   "the files are not parallel",
                   p->count, id, same ? json_string_value(same) : "nothing");
  const RawField fields[] = {{"context", context}, {"question", question}};
  p->count++;
  return raw_add(items, p->lang, raw_item(id, answer, fields, 2), error);
}

static xt_status add_all(Place *p, json_t *items, const json_t *root, xt_error *error) {
  const json_t *data = json_object_get(root, "data");
  size_t i, k, n;
  json_t *article, *paragraph, *qa;
  if (!json_is_array(data))
    return err_set(error, XT_STATUS_INPUT, p->path, "data", -1,
                   "is %s, expected SQuAD's array of articles", json_type_name(data));
  json_array_foreach(data, i, article) {
    const json_t *paragraphs = json_object_get(article, "paragraphs");
    if (!json_is_array(paragraphs)) return expected(p, "paragraphs", paragraphs, "an array", error);
    json_array_foreach(paragraphs, k, paragraph) {
      const json_t *qas = json_object_get(paragraph, "qas");
      const char *context;
      TRY(get_text(p, paragraph, "context", &context, error));
      if (!json_is_array(qas)) return expected(p, "qas", qas, "an array", error);
      json_array_foreach(qas, n, qa) TRY(add_question(p, items, context, qa, error));
    }
  }
  return XT_STATUS_OK;
}

static xt_status read_language(const RawOptions *options, const char *lang, RawSet *out,
                               xt_error *error) {
  char name[80], *path;
  TextFile file;
  json_t *root = NULL;
  snprintf(name, sizeof name, "xquad.%.60s.json", lang);
  TRY(file_join(options->directory, name, &path, error));
  Place place = {
      .path = path, .lang = lang, .first = json_object_get(out->items, options->languages[0])};
  xt_status status = text_file_read(path, &file, error);
  if (!status) {
    status = json_parse(file.text, file.size, path, &root, error);
    text_file_free(&file);
  }
  if (!status) status = add_all(&place, out->items, root, error);
  json_decref(root);
  free(path);
  return status;
}

xt_status raw_read_xquad(const RawOptions *options, RawSet *out, xt_error *error) {
  for (size_t i = 0; options->languages[i]; i++)
    TRY(read_language(options, options->languages[i], out, error));
  return XT_STATUS_OK;
}
