/* SPDX-License-Identifier: Apache-2.0 */
#include "train/train_data.h"

#include <stdlib.h>
#include <string.h>

#include "base/file_map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/json_lines.h"
#include "text/text_file.h"

/* ---- texts to examples ----------------------------------------------------------------------- */

void train_data_free(TrainData *data) {
  free(data->ids);
  free(data->examples);
  *data = (TrainData){0};
}

static xt_status add_ids(TrainData *data, const int32_t *ids, size_t count, xt_error *error) {
  TRY(MEM_GROW(&data->ids, &data->id_capacity, data->id_count + count + 1, error));
  if (count) memcpy(data->ids + data->id_count, ids, count * sizeof *ids);
  data->id_count += count;
  return XT_STATUS_OK;
}

static xt_status add_text(TrainData *data, const DataRules *rules, const char *text, size_t length,
                          bool special, xt_error *error) {
  int32_t *ids;
  size_t count;
  TRY(xt_tokenizer_encode(rules->tokenizer, text, length, special, &ids, &count, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < count && !status; i++)
    if (ids[i] < 0 || ids[i] >= rules->vocab)
      status =
          err_set(error, XT_STATUS_INPUT, NULL, NULL, -1,
                  "token %zu is %d: the model's ids are 0 to %d", i, (int)ids[i], rules->vocab - 1);
  if (!status) status = add_ids(data, ids, count, error);
  free(ids);
  return status;
}

/* Makes an example from the ids from `at` to the pool's end; an example that is too long is cut at
 * its end. */
static xt_status add_example(TrainData *data, const DataRules *rules, size_t at, size_t prompt,
                             xt_error *error) {
  size_t count = data->id_count - at;
  if (count > (size_t)rules->length) {
    count = (size_t)rules->length;
    data->id_count = at + count;
    data->cut++;
  }
  const size_t from = rules->all_tokens || prompt < 1 ? 1 : prompt;
  if (from >= count) { /* nothing to learn from */
    data->id_count = at;
    return XT_STATUS_OK;
  }
  TRY(MEM_GROW(&data->examples, &data->capacity, data->count + 1, error));
  data->examples[data->count++] =
      (Example){.at = at, .count = (int32_t)count, .counted_from = (int32_t)from};
  return XT_STATUS_OK;
}

/* Adds a prompt, which does not count in the loss, a response or text, which does, and the EOS. */
static xt_status add_pair(TrainData *data, const DataRules *rules, const char *prompt,
                          const char *response, xt_error *error) {
  const size_t at = data->id_count;
  size_t length = 0;
  if (prompt) {
    TRY(add_text(data, rules, prompt, strlen(prompt), true, error));
    length = data->id_count - at;
  }
  TRY(add_text(data, rules, response, strlen(response), !prompt, error));
  TRY(add_ids(data, &rules->eos, 1, error));
  return add_example(data, rules, at, length, error);
}

/* The names that a file may have for a line's texts. */
typedef struct PairLine {
  const char *prompt, *response; /* prompt NULL: there is only the response, which counts */
  bool apart;                    /* a line end goes between */
} PairLine;

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static xt_status read_pair(const json_t *line, const char *path, size_t number, PairLine *out,
                           xt_error *error) {
  static const char *const keys[] = {"prompt", "response", "inputs", "targets", "text"};
  const char *values[5];
  if (!json_is_object(line))
    return text_line_error(error, path, number,
                           "is %s, expected an object with prompt and response, or text",
                           json_type_name(line));
  for (size_t k = 0; k < 5; k++) {
    const json_t *value = json_object_get(line, keys[k]);
    if (value && !json_is_string(value))
      return text_line_error(error, path, number, "\"%s\" is %s, expected a string", keys[k],
                             json_type_name(value));
    values[k] = json_string_value(value);
  }
  const bool ours = values[0] && values[1], aya = values[2] && values[3], text = values[4];
  const int there = !!values[0] + !!values[1] + !!values[2] + !!values[3] + !!values[4];
  if (ours + aya + text != 1 || there != (text ? 1 : 2))
    return text_line_error(
        error, path, number,
        "has to have \"prompt\" and \"response\", \"inputs\" and \"targets\", or \"text\" alone");
  *out = text   ? (PairLine){NULL, values[4], false}
         : ours ? (PairLine){values[0], values[1], false}
                : (PairLine){values[2], values[3], true};
  /* Aya's prompts end with the question */
  if (aya &&
      (!values[2][0] || is_space(values[2][strlen(values[2]) - 1]) || is_space(values[3][0])))
    out->apart = false;
  return XT_STATUS_OK;
}

static xt_status add_line(TrainData *data, const DataRules *rules, const PairLine *line,
                          xt_error *error) {
  char *prompt;
  if (!line->apart) return add_pair(data, rules, line->prompt, line->response, error);
  const size_t length = strlen(line->prompt);
  TRY(MEM_ALLOC(&prompt, length + 2, error));
  memcpy(prompt, line->prompt, length);
  prompt[length] = '\n';
  const xt_status status = add_pair(data, rules, prompt, line->response, error);
  free(prompt);
  return status;
}

static xt_status read_pairs(const char *path, const DataRules *rules, TrainData *data,
                            xt_error *error) {
  JsonLines lines;
  TRY(json_lines_read(path, &lines, error));
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < json_array_size(lines.values) && !status; i++) {
    PairLine line = {0};
    xt_error inner;
    status = read_pair(json_array_get(lines.values, i), path, lines.number[i], &line, error);
    if (status) break;
    status = add_line(data, rules, &line, &inner);
    if (status == XT_STATUS_INPUT)
      status = text_line_error(error, path, lines.number[i], "%s", inner.message);
    else if (status && error)
      *error = inner;
  }
  json_lines_free(&lines);
  return status;
}

static xt_status read_lines(const char *path, const DataRules *rules, const FileMap *map,
                            TrainData *data, xt_error *error) {
  const char *text = (const char *)map->data;
  for (size_t at = 0, line = 1; at < map->size; line++) {
    const char *end = memchr(text + at, '\n', map->size - at);
    size_t size = end ? (size_t)(end - text) - at : map->size - at;
    const size_t next = at + size + 1, first = data->id_count;
    if (size && text[at + size - 1] == '\r') size--;
    if (size) {
      xt_error inner;
      xt_status status = add_text(data, rules, text + at, size, true, &inner);
      if (status == XT_STATUS_INPUT) return text_line_error(error, path, line, "%s", inner.message);
      if (!status) status = add_ids(data, &rules->eos, 1, &inner);
      if (!status) status = add_example(data, rules, first, 0, &inner);
      if (status) {
        if (error) *error = inner;
        return status;
      }
    }
    at = next;
  }
  return XT_STATUS_OK;
}

static xt_status read_text(const DataRules *rules, const FileMap *map, TrainData *data,
                           xt_error *error) {
  TRY(add_text(data, rules, (const char *)map->data, map->size, true, error));
  TRY(add_ids(data, &rules->eos, 1, error));
  for (size_t at = 0; at + 1 < data->id_count; at += (size_t)rules->length) {
    const size_t left = data->id_count - at;
    TRY(MEM_GROW(&data->examples, &data->capacity, data->count + 1, error));
    data->examples[data->count++] =
        (Example){.at = at,
                  .count = (int32_t)(left < (size_t)rules->length ? left : (size_t)rules->length),
                  .counted_from = 1};
  }
  return XT_STATUS_OK;
}

xt_status train_data_read(const char *path, const DataRules *rules, TrainData *out,
                          xt_error *error) {
  xt_train_format format = rules->format;
  xt_status status;
  if (format == XT_TRAIN_AUTO)
    format = file_name_ends(path, ".jsonl") || file_name_ends(path, ".json") ? XT_TRAIN_PAIRS
                                                                             : XT_TRAIN_TEXT;
  *out = (TrainData){0};
  if (format == XT_TRAIN_PAIRS) {
    status = read_pairs(path, rules, out, error);
  } else {
    FileMap map;
    xt_error inner;
    TRY(file_map_open(path, &map, error));
    const size_t mark = file_map_mark(&map);
    const FileMap text = {.data = map.data + mark, .size = map.size - mark, .path = map.path};
    if (format == XT_TRAIN_LINES) {
      status = read_lines(path, rules, &text, out, error);
    } else {
      status = read_text(rules, &text, out, &inner);
      if (status == XT_STATUS_INPUT)
        err_set(error, status, path, inner.field, inner.offset, "%s", inner.message);
      else if (status && error)
        *error = inner;
    }
    file_map_close(&map);
  }
  if (!status && out->count == 0)
    status = err_set(error, XT_STATUS_INPUT, path, NULL, -1,
                     "has nothing to learn from: no example has two tokens");
  if (status) train_data_free(out);
  return status;
}

/* ---- order ----------------------------------------------------------------------------------- */

/* Fisher-Yates, with a separate random stream for each epoch. */
static void shuffle(DataOrder *o) {
  Rng rng = {o->seed ^ (0xD1B54A32D192ED03u * (o->epoch + 1))};
  for (size_t i = 0; i < o->data->count; i++) o->order[i] = i;
  for (size_t i = o->data->count; i > 1; i--) {
    const size_t k = (size_t)(rng_next(&rng) % i), held = o->order[i - 1];
    o->order[i - 1] = o->order[k];
    o->order[k] = held;
  }
  o->at = 0;
}

void data_order_rewind(DataOrder *o) {
  o->epoch = 0;
  shuffle(o);
}

xt_status data_order_create(DataOrder *o, const TrainData *data, const xt_train_options *options,
                            int length, xt_error *error) {
  *o = (DataOrder){.data = data,
                   .seed = options->seed,
                   .batch = options->batch,
                   .length = length,
                   .pack = options->pack};
  TRY(MEM_ALLOC(&o->order, data->count, error));
  data_order_rewind(o);
  return XT_STATUS_OK;
}

void data_order_free(DataOrder *o) {
  free(o->order);
  o->order = NULL;
}

size_t data_order_together(const DataOrder *o, size_t first, size_t n, int most) {
  if (!o->pack) return n < (size_t)most ? n : (size_t)most;
  size_t k = 0, tokens = 0;
  for (; k < n; k++) {
    tokens += (size_t)o->data->examples[o->order[first + k]].count;
    if (k && tokens > (size_t)most * (size_t)o->length) break;
  }
  return k;
}

size_t data_order_next(DataOrder *o, size_t *first) {
  if (o->at == o->data->count) {
    o->epoch++;
    shuffle(o);
  }
  *first = o->at;
  const size_t n = data_order_together(o, o->at, o->data->count - o->at, o->batch);
  o->at += n;
  return n;
}

uint64_t data_order_count(DataOrder *o, int epochs) {
  uint64_t steps = 0;
  size_t first;
  data_order_rewind(o);
  while (o->epoch + 1 < (uint64_t)epochs || o->at < o->data->count) {
    data_order_next(o, &first);
    steps++;
  }
  data_order_rewind(o);
  return steps;
}
