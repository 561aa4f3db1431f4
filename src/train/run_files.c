/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a training run. While it runs, `output` holds training-state.safetensors:
 *     weights, first, second  F32 [parameters]   in the layout of params.h
 *     history                 F64 [steps done, 4] loss, gradient's norm, learning rate, tokens that
 *                             count
 *     metadata                steps, settings: a line "name value" for all that the result depends
 *                             on
 * The model.safetensors of a finished run has the settings in its metadata, under TRAINED. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/out_file.h"
#include "base/out_folder.h"
#include "files/dtype.h"
#include "files/model_files.h"
#include "files/safetensors_writer.h"
#include "train/trainer.h"

#define STATE_FILE "training-state.safetensors"
#define MODEL_FILE "model.safetensors"
#define TRAINED "xtransplant-training"
#define PIECE ((size_t)1 << 18) /* floats converted together */

static const char *const state_names[] = {"weights", "first", "second"};

/* ---- the state ------------------------------------------------------------------------------- */

xt_status run_files_save_state(const Trainer *t, xt_error *error) {
  const float *const arrays[] = {t->state.weights, t->state.first, t->state.second};
  const int64_t size = (int64_t)t->params.total, history[] = {(int64_t)t->state.steps, 4};
  const size_t bytes = t->params.total * sizeof(float);
  char steps[32], *path;
  SafetensorsWriter *w;
  snprintf(steps, sizeof steps, "%" PRIu64, t->state.steps);
  TRY(file_join(t->options->output, STATE_FILE, &path, error));
  xt_status status = safetensors_writer_open(path, &w, error);
  free(path);
  TRY(status);
  status = safetensors_writer_metadata(w, "steps", steps, error);
  if (!status) status = safetensors_writer_metadata(w, "settings", t->settings.data, error);
  for (int i = 0; i < 3 && !status; i++)
    status = safetensors_writer_declare(w, state_names[i], DTYPE_F32, 1, &size, error);
  if (!status) status = safetensors_writer_declare(w, "history", DTYPE_F64, 2, history, error);
  for (int i = 0; i < 3 && !status; i++)
    status = safetensors_writer_data(w, arrays[i], bytes, error);
  if (!status)
    status = safetensors_writer_data(w, t->records, t->state.steps * sizeof *t->records, error);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}

/* Reports the first line in which two settings differ, as "name: was A, is B". `ended`: how the run
 * in `path` ended, "stopped" or "finished". */
static xt_status compare_settings(const char *path, const char *was, const char *is,
                                  const char *ended, xt_error *error) {
  while (*was && *is) {
    const size_t a = strcspn(was, "\n"), b = strcspn(is, "\n"), name = strcspn(was, " ");
    if (a != b || memcmp(was, is, a) != 0) {
      char field[64];
      snprintf(field, sizeof field, "%.*s", (int)(name < 60 ? name : 60), was);
      if (strcmp(field, "data") == 0 || strcmp(field, "model") == 0)
        return err_set(error, XT_STATUS_INPUT, path, field, -1,
                       "the run that %s there had a different value; give the same one, or "
                       "another output",
                       ended);
      return err_set(
          error, XT_STATUS_INPUT, path, field, -1,
          "the run that %s there had%.*s, this one has%.*s; give the same, or another output",
          ended, (int)(a > name ? a - name : 0), was + name, (int)(b > name ? b - name : 0),
          is + name);
    }
    was += a + (was[a] == '\n');
    is += b + (is[b] == '\n');
  }
  if (*was || *is)
    return err_set(error, XT_STATUS_INPUT, path, "settings", -1, "were written by another version");
  return XT_STATUS_OK;
}

static xt_status read_array(const Checkpoint *file, const char *path, const char *name, Dtype dtype,
                            uint64_t bytes, void *out, xt_error *error) {
  const Tensor *tensor = checkpoint_find(file, name);
  if (!tensor || tensor->dtype != dtype || tensor->bytes != bytes)
    return err_set(error, XT_STATUS_INPUT, path, name, -1,
                   "is missing, or does not belong to a state of this run");
  if (bytes) memcpy(out, tensor->data, bytes);
  return XT_STATUS_OK;
}

static xt_status read_state(Trainer *t, const char *path, xt_error *error) {
  float *const arrays[] = {t->state.weights, t->state.first, t->state.second};
  Checkpoint *file;
  char *end;
  TRY(checkpoint_open_file(path, &file, error));
  const char *settings = checkpoint_metadata(file, "settings"),
             *steps = checkpoint_metadata(file, "steps");
  xt_status status = XT_STATUS_OK;
  if (!settings || !steps)
    TRY_DONE(
        err_set(error, XT_STATUS_INPUT, path, "settings", -1, "is not a state of a training run"));
  TRY_DONE(compare_settings(path, settings, t->settings.data, "stopped", error));
  t->state.steps = strtoull(steps, &end, 10);
  if (*end || t->state.steps > t->optimizer.total) {
    t->state.steps = 0;
    TRY_DONE(err_set(error, XT_STATUS_INPUT, path, "steps", -1, "is '%.20s'; the run has %" PRIu64,
                     steps, t->optimizer.total));
  }
  for (int i = 0; i < 3; i++)
    TRY_DONE(read_array(file, path, state_names[i], DTYPE_F32, t->params.total * sizeof(float),
                        arrays[i], error));
  TRY_DONE(read_array(file, path, "history", DTYPE_F64, t->state.steps * sizeof *t->records,
                      t->records, error));
done:
  checkpoint_close(file);
  return status;
}

/* ---- the directory --------------------------------------------------------------------------- */

static xt_status choose_dtype(const Trainer *t, Dtype *out, xt_error *error) {
  static const struct {
    const char *name, *long_name;
    Dtype dtype;
  } names[] = {{"f32", "float32", DTYPE_F32},
               {"bf16", "bfloat16", DTYPE_BF16},
               {"f16", "float16", DTYPE_F16}};
  const char *wanted = t->options->dtype ? t->options->dtype : t->config.dtype;
  *out = DTYPE_F32;
  if (!*wanted) return XT_STATUS_OK;
  for (size_t i = 0; i < 3; i++)
    if (strcmp(wanted, names[i].name) == 0 || strcmp(wanted, names[i].long_name) == 0) {
      *out = names[i].dtype;
      return XT_STATUS_OK;
    }
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "dtype", -1,
                 "'%s' is not known; one of f32, bf16, f16", wanted);
}

/* The files that a run writes, besides those of the tokenizer. */
static const char *const written[] = {STATE_FILE,       "model.safetensors",
                                      "config.json",    "generation_config.json",
                                      "training.jsonl", "loss.svg"};

/* Whether `name` is a file that a killed run was writing; it may be as large as the state. */
static bool is_leftover(const char *name, bool state_only) {
  for (size_t i = 0; i < (state_only ? 1 : sizeof written / sizeof *written); i++)
    if (out_name_is_temporary(name, written[i])) return true;
  for (const char *const *file = model_files_tokenizer; *file && !state_only; file++)
    if (out_name_is_temporary(name, *file)) return true;
  return false;
}

/* Removes the leftovers of killed runs, and no other file. *empty: nothing else is there. */
static xt_status remove_leftovers(const char *output, bool state_only, bool *empty,
                                  xt_error *error) {
  DIR *directory = opendir(output);
  if (!directory) return err_io(error, output, "cannot open");
  *empty = true;
  for (const struct dirent *entry; (entry = readdir(directory));) {
    const char *name = entry->d_name;
    if (is_leftover(name, state_only))
      unlinkat(dirfd(directory), name, 0);
    else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
      *empty = false;
  }
  closedir(directory);
  return XT_STATUS_OK;
}

/* Whether `output` has the result of this run. The result of a run with other settings is an error
 * that names one of them. */
static xt_status find_finished(Trainer *t, xt_error *error) {
  Checkpoint *file;
  xt_error ignored;
  char *path;
  TRY(file_join(t->options->output, MODEL_FILE, &path, error));
  xt_status status = XT_STATUS_OK;
  /* a file that cannot be read belongs to the user */
  if (file_exists(path) && checkpoint_open_file(path, &file, &ignored) == XT_STATUS_OK) {
    const char *settings = checkpoint_metadata(file, TRAINED);
    if (settings) status = compare_settings(path, settings, t->settings.data, "finished", error);
    t->finished = settings && !status;
    checkpoint_close(file);
  }
  free(path);
  return status;
}

xt_status run_files_open(Trainer *t, xt_error *error) {
  const char *output = t->options->output;
  Dtype dtype;
  char *state;
  bool empty = true;
  TRY(choose_dtype(t, &dtype, error));
  /* report it now rather than after hours */
  TRY(model_files_check(t->options->model, "generation_config.json", error));
  for (const char *const *name = model_files_tokenizer; *name; name++)
    TRY(model_files_check(t->options->model, *name, error));
  const bool made = mkdir(output, 0777) == 0;
  if (!made && errno != EEXIST) return err_io(error, output, "cannot make the directory");
  TRY(out_folder_lock(output, &t->lock, error));
  if (made) return XT_STATUS_OK;
  TRY(file_join(output, STATE_FILE, &state, error));
  if (file_exists(state)) {
    xt_status status = read_state(t, state, error);
    if (!status) status = remove_leftovers(output, false, &empty, error);
    free(state);
    return status;
  }
  free(state);
  TRY(remove_leftovers(output, true, &empty, error)); /* of a run that was killed before its
                                                         first state was complete */
  if (empty) return XT_STATUS_OK;
  TRY(find_finished(t, error));
  if (t->finished) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_IO, output, NULL, -1,
                 "exists, is not empty and holds no state to resume from; nothing was written");
}

/* ---- results --------------------------------------------------------------------------------- */

static xt_status write_text(const Trainer *t, const char *name, const TextBuffer *text,
                            xt_error *error) {
  char *path;
  if (text->failed) return err_memory(error, text->size);
  TRY(file_join(t->options->output, name, &path, error));
  const xt_status status = out_file_save(path, text->data, text->size, error);
  free(path);
  return status;
}

static xt_status write_weights(const Trainer *t, Dtype dtype, xt_error *error) {
  char *path, name[ARCH_NAME_SIZE];
  SafetensorsWriter *w;
  uint16_t *half;
  TRY(MEM_ALLOC(&half, PIECE, error));
  xt_status status = file_join(t->options->output, MODEL_FILE, &path, error);
  if (!status) {
    status = safetensors_writer_open(path, &w, error);
    free(path);
  }
  if (status) {
    free(half);
    return status;
  }
  status = safetensors_writer_metadata(w, "format", "pt", error);
  if (!status) status = safetensors_writer_metadata(w, TRAINED, t->settings.data, error);
  for (size_t i = 0; i < t->params.count && !status; i++) {
    const Param *p = &t->params.list[i];
    arch_tensor_name(t->params.config, p->role, p->layer, name);
    status = safetensors_writer_declare(w, name, dtype, p->shape.dims,
                                        (const int64_t[]){p->shape.rows, p->shape.cols}, error);
  }
  for (size_t at = 0; at < t->params.total && !status; at += PIECE) {
    const size_t n = t->params.total - at < PIECE ? t->params.total - at : PIECE;
    const float *from = t->state.weights + at;
    for (size_t i = 0; i < n && dtype != DTYPE_F32; i++)
      half[i] = dtype == DTYPE_F16 ? dtype_to_f16(from[i]) : dtype_to_bf16(from[i]);
    status = dtype == DTYPE_F32 ? safetensors_writer_data(w, from, n * sizeof *from, error)
                                : safetensors_writer_data(w, half, n * sizeof *half, error);
  }
  free(half);
  if (!status) return safetensors_writer_commit(w, error);
  safetensors_writer_discard(w);
  return status;
}

/* Writes the model's config.json with the dtype of the written weights. */
static xt_status write_config(const Trainer *t, Dtype dtype, xt_error *error) {
  static const char *const names[] = {
      [DTYPE_F32] = "float32", [DTYPE_F16] = "float16", [DTYPE_BF16] = "bfloat16"};
  char *path;
  json_t *config;
  TextBuffer text = {0};
  TRY(file_join(t->options->model, "config.json", &path, error));
  xt_status status = json_parse_file(path, &config, error);
  free(path);
  TRY(status);
  const char *key = json_object_get(config, "dtype") ? "dtype" : "torch_dtype";
  char *dumped = json_object_set_new(config, key, json_string(names[dtype])) == 0
                     ? number_json(config, JSON_INDENT(1) | JSON_REAL_PRECISION(15))
                     : NULL;
  if (!dumped) status = err_memory(error, 0);
  if (!status) {
    text_buffer_format(&text, "%s\n", dumped);
    status = write_text(t, "config.json", &text, error);
  }
  free(dumped);
  text_buffer_free(&text);
  json_decref(config);
  return status;
}

static xt_status write_record(const Trainer *t, xt_error *error) {
  TextBuffer text = {0};
  for (uint64_t i = 0; i < t->state.steps; i++) {
    const StepRecord *r = &t->records[i];
    text_buffer_format(
        &text,
        "{\"step\": %" PRIu64
        ", \"loss\": %.9g, \"learning_rate\": %.9g, \"norm\": %.9g, \"counted\": %.0f}\n",
        i + 1, r->loss, r->rate, r->norm, r->counted);
  }
  xt_status status = write_text(t, "training.jsonl", &text, error);
  text_buffer_free(&text);
  TRY(status);
  loss_curve_draw(t->records, t->state.steps, "training loss (nats a token; dark: running mean)",
                  &text);
  status = write_text(t, "loss.svg", &text, error);
  text_buffer_free(&text);
  return status;
}

xt_status run_files_finish(const Trainer *t, xt_error *error) {
  const char *output = t->options->output;
  Dtype dtype;
  char *state;
  TRY(choose_dtype(t, &dtype, error));
  if (t->options->save_steps) TRY(run_files_save_state(t, error)); /* until all else is there */
  TRY(write_config(t, dtype, error));
  TRY(model_files_copy(t->options->model, output, "generation_config.json", error));
  for (const char *const *name = model_files_tokenizer; *name; name++)
    TRY(model_files_copy(t->options->model, output, *name, error));
  TRY(write_record(t, error));
  TRY(write_weights(t, dtype, error));
  TRY(file_join(output, STATE_FILE, &state, error));
  unlink(state); /* there may be none */
  free(state);
  return XT_STATUS_OK;
}
