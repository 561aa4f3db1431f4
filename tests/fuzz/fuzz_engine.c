/* SPDX-License-Identifier: Apache-2.0 */
/* Reference dumps that `verify` reads, with a small model of random weights; what `lens --json`
 * prints, as a figure. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "files/safetensors_writer.h"
#include "fuzz.h"
#include "report/report_parts.h"
#include "xtransplant/xt.h"

static xt_session *session_of_random_weights(void) {
  static xt_session *session;
  xt_model *model;
  xt_error error = {0};
  char path[160];
  if (session) return session;
  snprintf(path, sizeof path, "%s/model", fuzz_folder());
  if (xt_model_synthesize(&(xt_synth_options){.shape = "tiny-llama", .seed = 1}, path, &error) ||
      xt_model_open(path, &(xt_model_options){.threads = 1}, &model, &error) ||
      xt_session_create(model, &session, &error))
    abort();
  return session;
}

void fuzz_verify(const uint8_t *data, size_t size) {
  bool passed;
  xt_error error = {0};
  xt_session *session = session_of_random_weights();
  if (!size) return;
  fuzz_put("dump/reference.json", (FuzzPart){data, size});
  char folder[120];
  snprintf(folder, sizeof folder, "%s/dump", fuzz_folder());
  const xt_status status = xt_session_verify(session, folder, NULL, NULL, &passed, &error);
  if (status != XT_STATUS_IO) fuzz_check(status, &error); /* a file of taps that is not there */
}

void fuzz_lens(const uint8_t *data, size_t size) {
  xt_report report;
  xt_error error = {0};
  memset(&report, 0, sizeof report);
  if (json_parse(data, size, "lens.json", &report.lens, &error)) return;
  fuzz_check(report_lens_figure(&report, &error), &error);
  for (size_t i = 0; i < report.figure_count; i++) text_buffer_free(&report.figures[i].svg);
  free(report.figures);
  arena_free(&report.arena);
  json_decref(report.lens);
}
