/* SPDX-License-Identifier: Apache-2.0 */
#include "inputs/chat.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Noon of the day, local time, or now; false when it is no day. */
static bool read_date(const char *text, time_t *out) {
  struct tm day = {.tm_hour = 12, .tm_isdst = -1};
  if (!text) {
    *out = time(NULL);
    return true;
  }
  if (strlen(text) != 10 || text[4] != '-' || text[7] != '-') return false;
  for (int i = 0; i < 10; i++)
    if (i != 4 && i != 7 && (text[i] < '0' || text[i] > '9')) return false;
  const int month = (text[5] - '0') * 10 + text[6] - '0',
            of_month = (text[8] - '0') * 10 + text[9] - '0';
  day.tm_year =
      (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + text[3] - '0' - 1900;
  day.tm_mon = month - 1;
  day.tm_mday = of_month;
  *out = mktime(&day);
  /* mktime moves what does not exist */
  return month >= 1 && day.tm_mon == month - 1 && day.tm_mday == of_month;
}

int chat_usage(const Cli *cli, const ChatArguments *arguments) {
  time_t when;
  const char *without = arguments->system ? "system" : arguments->date ? "date" : NULL;
  if (!arguments->chat && without) return cli_usage(cli, "--%s: needs --chat", without);
  if (arguments->chat && arguments->no_special)
    return cli_usage(
        cli, "--no-special: cannot be combined with --chat, because the template writes all "
             "special tokens");
  if (!read_date(arguments->date, &when))
    return cli_usage(cli, "--date: \"%s\" is not a day such as 2026-05-17", arguments->date);
  return EXIT_OK;
}

xt_status chat_dataset(xt_dataset *dataset, const ChatArguments *arguments,
                       const LoadedModel *model, xt_error *error) {
  time_t when = 0;
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  if (!tokenizer)
    return error_set(error, XT_STATUS_ARGUMENT, model->info.path, NULL, -1,
                     "the model has no tokenizer");
  (void)read_date(arguments->date, &when);
  const xt_status status = xt_dataset_chat(dataset, tokenizer, arguments->system, when, error);
  if (status && !error->file[0]) snprintf(error->file, sizeof error->file, "%s", model->info.path);
  return status;
}

xt_status chat_encode(const xt_tokenizer *tokenizer, const ChatArguments *arguments,
                      const char *text, size_t length, int32_t **ids, size_t *count, bool *doubled,
                      xt_error *error) {
  char *rendered = NULL;
  size_t size = length;
  xt_status status = XT_STATUS_OK;
  *doubled = false;
  time_t when = 0;
  (void)read_date(arguments->date, &when);
  if (arguments->chat)
    status = xt_tokenizer_chat(tokenizer, arguments->system, text, length, when, &rendered, &size,
                               error);
  if (!status)
    status = xt_tokenizer_encode(tokenizer, rendered ? rendered : text, size,
                                 !arguments->chat && !arguments->no_special, ids, count, error);
  free(rendered);
  if (status || arguments->chat || arguments->no_special) return status;
  const int32_t bos = xt_tokenizer_bos(tokenizer);
  *doubled = bos >= 0 && *count >= 2 && (*ids)[0] == bos && (*ids)[1] == bos;
  return XT_STATUS_OK;
}
