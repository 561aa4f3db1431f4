/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shell/cli.h"
#include "shell/interrupt.h"
#include "shell/output.h"

const char *const compute_names[] = {[XT_COMPUTE_F32] = "f32",
                                     [XT_COMPUTE_BF16] = "bf16",
                                     [XT_COMPUTE_F16] = "f16",
                                     [XT_COMPUTE_TF32] = "tf32",
                                     NULL};

xt_status error_set(xt_error *error, xt_status status, const char *file, const char *field,
                    long long offset, const char *format, ...) {
  error->status = status;
  error->offset = offset;
  snprintf(error->file, sizeof error->file, "%s", file ? file : "");
  snprintf(error->field, sizeof error->field, "%s", field ? field : "");
  va_list args;
  va_start(args, format);
  vsnprintf(error->message, sizeof error->message, format, args);
  va_end(args);
  return status;
}

xt_status error_memory(xt_error *error) {
  return error_set(error, XT_STATUS_MEMORY, NULL, NULL, -1, "out of memory");
}

static int exit_code(xt_status status) {
  switch (status) {
    case XT_STATUS_OK: return EXIT_OK;
    case XT_STATUS_ARGUMENT: /* also a plan that exceeds --memory: refused, not failed */
    case XT_STATUS_INPUT:
    case XT_STATUS_IO:
    case XT_STATUS_UNSUPPORTED: return EXIT_INPUT;
    case XT_STATUS_MEMORY:
    case XT_STATUS_CANCELLED: return EXIT_FAILED;
  }
  return EXIT_FAILED;
}

/* One line on stderr, whatever characters a file name, a tensor's name or a language has. */
static void print_line(const char *verb, const char *line) {
  for (; *line == '\n'; line++) fputc('\n', stderr); /* leaves a line that shows progress */
  char *safe = text_escape(line, strlen(line));
  if (verb) fprintf(stderr, "xtransplant %s: ", verb);
  fputs(safe ? safe : "out of memory", stderr);
  fputc('\n', stderr);
  free(safe);
}

int cli_exit(const Cli *cli, xt_status status, const xt_error *error) {
  if (status == XT_STATUS_OK) return EXIT_OK;
  char line[1400];
  xt_error_format(error, line, sizeof line);
  fflush(stdout);
  print_line(cli->verb->name, line);
  /* a signal stopped it, or interrupted a system call */
  if (interrupt_asked() && (status == XT_STATUS_CANCELLED || status == XT_STATUS_IO))
    return interrupt_exit_code();
  /* failed output is not bad input */
  return status == XT_STATUS_IO && ferror(stdout) ? EXIT_FAILED : exit_code(status);
}

int cli_usage(const Cli *cli, const char *format, ...) {
  char line[1400];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  print_line(cli->verb->name, line);
  return EXIT_USAGE;
}

static void note(const char *format, va_list args) {
  char line[1400];
  vsnprintf(line, sizeof line, format, args);
  fflush(stdout); /* keeps the order if both go to the same terminal */
  print_line(NULL, line);
}

void cli_note(bool quiet, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (!quiet) note(format, args);
  va_end(args);
}

void cli_progress(bool quiet, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (!quiet && isatty(STDERR_FILENO)) note(format, args);
  va_end(args);
}

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double processor_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- models ---------------------------------------------------------------------------------- */

xt_status model_locate(const char *given, char **path, xt_error *error) {
  /* As huggingface_hub looks for it; the second of a row is what comes below the variable's
   * value. */
  static const char *const places[][2] = {{"HF_HUB_CACHE", ""},
                                          {"HUGGINGFACE_HUB_CACHE", ""},
                                          {"HF_HOME", "/hub"},
                                          {"XDG_CACHE_HOME", "/huggingface/hub"},
                                          {"HOME", "/.cache/huggingface/hub"}};
  char cache[4096] = "";
  for (size_t i = 0; i < sizeof places / sizeof *places && !cache[0]; i++) {
    const char *value = getenv(places[i][0]);
    if (value && *value) snprintf(cache, sizeof cache, "%s%s", value, places[i][1]);
  }
  return xt_model_locate(given, cache[0] ? cache : NULL, path, error);
}

/* The folder for a GPU's compiled kernels and models' hashes; NULL if the user has no cache
 * folder. */
static const char *user_cache(char *buffer, size_t size) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && *cache)
    snprintf(buffer, size, "%s/xtransplant", cache);
  else if (home && *home)
    snprintf(buffer, size, "%s/.cache/xtransplant", home);
  else
    return NULL;
  return buffer;
}

xt_status model_hash(const LoadedModel *model, bool quiet, char out[XT_MODEL_HASH_SIZE],
                     xt_error *error) {
  char cache[4096];
  cli_progress(quiet, "reading the model's hash ...");
  return xt_model_hash_kept(model->model, user_cache(cache, sizeof cache), out, error);
}

static xt_model_options model_options(const ModelArguments *arguments) {
  return (xt_model_options){.threads = arguments->threads,
                            .compute = (xt_compute)arguments->compute,
                            .memory_limit = arguments->memory,
                            .cpu_kernels = arguments->kernels,
                            .device = arguments->device,
                            .inexact = arguments->inexact};
}

xt_status model_describe(const ModelArguments *arguments, LoadedModel *out, xt_error *error) {
  *out = (LoadedModel){0};
  const xt_model_options options = model_options(arguments);
  char *path;
  xt_status status = model_locate(arguments->model, &path, error);
  if (status) return status;
  status = xt_model_inspect(path, &options, &out->model, error);
  free(path);
  if (status) return status;
  xt_model_get_info(out->model, &out->info);
  return XT_STATUS_OK;
}

xt_status model_load(const ModelArguments *arguments, LoadedModel *model, xt_error *error) {
  char cache[4096];
  model_deinit(model);
  xt_model_options options = model_options(arguments);
  options.kernel_cache = user_cache(cache, sizeof cache);
  const double begin = seconds_now();
  char *path;
  xt_status status = model_locate(arguments->model, &path, error);
  if (status) return status;
  cli_progress(arguments->quiet, "loading %s ...", path);
  status = xt_model_open(path, &options, &model->model, error);
  free(path);
  if (status) return status;
  xt_model_get_info(model->model, &model->info);
  cli_progress(arguments->quiet, "loaded in %.1f s: %.2f GB of weights, %s kernels",
               seconds_now() - begin, (double)model->info.weight_bytes / 1e9, model->info.kernels);
  return xt_session_create(model->model, &model->session, error);
}

void model_deinit(LoadedModel *model) {
  xt_session_free(model->session);
  xt_model_close(model->model);
  *model = (LoadedModel){0};
}
