/* SPDX-License-Identifier: Apache-2.0 */
#include "results/response.h"

#include <stdlib.h>

#include "shell/output.h"

int sampling_usage(const Cli *cli, int samples) {
  static const char *const drawing[] = {"temperature", "top-p", "seed"};
  for (int i = 0; i < 3; i++)
    if (!samples && option_is_given(cli, drawing[i]))
      return cli_usage(cli, "--%s: needs --samples, because nothing is drawn without it",
                       drawing[i]);
  return EXIT_OK;
}

xt_status response_init(Response *response, const LoadedModel *model, const Prompt *prompt,
                        xt_generation *generation, xt_error *error) {
  *response = (Response){.prompt = prompt, .generation = *generation};
  *generation = (xt_generation){0};
  const xt_tokenizer *tokenizer = xt_model_tokenizer(model->model);
  if (!tokenizer) return XT_STATUS_OK;
  return xt_tokenizer_decode(tokenizer, response->generation.ids, response->generation.count, true,
                             &response->text, &response->length, error);
}

void response_deinit(Response *response) {
  xt_generation_deinit(&response->generation);
  free(response->text);
  *response = (Response){0};
}

json_t *response_json(const Response *response) {
  const xt_generation *generation = &response->generation;
  json_t *object = json_object();
  bool ok =
      json_add(object, "prompt_ids", json_ids(response->prompt->ids, response->prompt->count));
  ok = json_add(object, "last_token", prompt_last_json(response->prompt)) && ok;
  ok = json_add(object, "text", json_text(response->text, response->length)) && ok;
  ok = json_add(object, "ids", json_ids(generation->ids, generation->count)) && ok;
  ok = json_add(object, "margins", json_floats(generation->margins, generation->count)) && ok;
  ok = json_add(object, "entropies", json_floats(generation->entropies, generation->count)) && ok;
  ok = json_add(object, "logprobs", json_floats(generation->logprobs, generation->count)) && ok;
  ok = json_add(object, "stopped", json_boolean(generation->stopped)) && ok;
  if (ok) return object;
  json_decref(object);
  return NULL;
}

float response_smallest_margin(const Response *response) {
  const xt_generation *generation = &response->generation;
  float least = generation->count ? generation->margins[0] : 0;
  for (size_t i = 1; i < generation->count; i++)
    if (generation->margins[i] < least) least = generation->margins[i];
  return least;
}

void response_print(const Response *response) {
  if (response->text) {
    char *line = text_escape(response->text, response->length);
    if (line) fputs(line, stdout);
    free(line);
    return;
  }
  for (size_t i = 0; i < response->generation.count; i++)
    printf("%s%d", i ? " " : "", (int)response->generation.ids[i]);
}

void prompt_print_tail(const Prompt *prompt, int columns) {
  char *line = NULL;
  if (prompt->text) {
    line = text_escape(prompt->text, prompt->length);
  } else if ((line = malloc(12 * prompt->count + 1))) {
    size_t used = 0;
    for (size_t i = 0; i < prompt->count; i++)
      used += (size_t)sprintf(line + used, "%s%d", i ? " " : "", (int)prompt->ids[i]);
  }
  if (line) print_fitted(line, text_width(line) < columns ? text_width(line) : columns, true);
  free(line);
}
