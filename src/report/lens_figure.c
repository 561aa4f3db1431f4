/* SPDX-License-Identifier: Apache-2.0 */
/* Figure 8: what each layer would predict at each generated token, from the output of `lens
 * --json`. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/escape.h"
#include "report/report_parts.h"
#include "report/svg.h"

#define LENS_TOKENS 12 /* columns of one run that are drawn */
#define LENS_CELL 58.0
#define LENS_ROW 17.0
#define LENS_LAYER_MOST 9999

static xt_status broken(const char *what, xt_error *error) {
  return err_set(error, XT_STATUS_INPUT, NULL, "lens", -1,
                 "%s; give the one line that lens --json prints for a transplant", what);
}

/* A token within its cell: white space shown, cut to what fits. */
static void draw_token(TextBuffer *out, double x, double y, const char *text, double logprob) {
  char shown[64];
  size_t n = 0, columns = 0;
  for (const char *c = text; *c && n + 5 < sizeof shown; c++) {
    if (((unsigned char)*c & 0xc0) != 0x80 && ++columns > 8) break;
    if ((unsigned char)*c < ' ') {
      shown[n++] = ' ';
      continue;
    }
    shown[n++] = *c;
  }
  shown[n] = 0;
  text_buffer_format(
      out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill-opacity=\"%.2f\"", x, y,
      LENS_CELL - 1, LENS_ROW - 1, 0.06 + 0.6 * exp(logprob));
  svg_class(out, "f0");
  text_buffer_add_text(out, "><title>");
  escape_html(out, text);
  text_buffer_format(out, " %.0f%%</title></rect>\n", 100 * exp(logprob));
  svg_text(out, x + LENS_CELL / 2, y + 12, "middle", "t", shown);
}

/* One run: layers from the top down, a column per token. */
static xt_status draw_run(TextBuffer *out, const xt_report *r, double left, double top,
                          const char *title, const json_t *run, xt_error *error) {
  const json_t *lens = json_object_get(run, "lens"), *layers = json_object_get(lens, "layers"),
               *texts = json_object_get(lens, "texts"),
               *logprobs = json_object_get(lens, "logprobs");
  const char *response = json_string_value(json_object_get(run, "text"));
  char label[16];
  if (!json_is_array(layers) || !json_is_array(texts) || !json_is_array(logprobs))
    return broken("a run has no lens", error);
  svg_text(out, left, top - 22, "start", "h", title);
  svg_text(out, left, top - 6, "start", "s", response ? response : "");
  const size_t count = json_array_size(layers);
  for (size_t k = 0; k < count; k++) {
    const double y = top + LENS_ROW * (double)(count - 1 - k);
    const json_int_t layer = json_integer_value(json_array_get(layers, k));
    if (layer < 0 || layer > LENS_LAYER_MOST)
      return broken("a run's lens has a layer that no model has", error);
    snprintf(label, sizeof label, "%d", (int)layer + r->first_layer);
    svg_text(out, left - 6, y + 12, "end", "s", label);
    for (size_t t = 0; t < json_array_size(texts) && t < LENS_TOKENS; t++) {
      const char *token = json_string_value(json_array_get(json_array_get(texts, t), k));
      const json_t *logprob = json_array_get(json_array_get(logprobs, t), k);
      if (token)
        draw_token(out, left + LENS_CELL * (double)t, y, token,
                   logprob && json_is_number(logprob) ? fmin(json_number_value(logprob), 0) : -20);
    }
  }
  return XT_STATUS_OK;
}

xt_status report_lens_figure(xt_report *r, xt_error *error) {
  static const char *const names[] = {"source", "vanilla", "transplanted"},
                           *const titles[] = {"Source prompt", "Target prompt, untouched",
                                              "Target prompt, transplanted"};
  ReportFigure *f;
  if (!r->lens) return XT_STATUS_OK;
  size_t tokens = 1, layers = 0;
  for (size_t k = 0; k < 3; k++) {
    const json_t *lens = json_object_get(json_object_get(r->lens, names[k]), "lens");
    if (!lens) return broken("it lacks one of source, vanilla and transplanted", error);
    const size_t n = json_array_size(json_object_get(lens, "texts"));
    tokens = n > tokens ? n : tokens;
    layers = json_array_size(json_object_get(lens, "layers"));
  }
  tokens = tokens > LENS_TOKENS ? LENS_TOKENS : tokens;
  const char *site = json_string_value(json_object_get(r->lens, "site"));
  int64_t source = 0, target = 0;
  TRY(json_get_int(r->lens, "source_layer", 0, LENS_LAYER_MOST, &source, "lens", error));
  TRY(json_get_int(r->lens, "target_layer", 0, LENS_LAYER_MOST, &target, "lens", error));
  const char *title = report_format(r, "Figure 8. Intermediate decoding: %s, layer %d → %d",
                                    site ? site : "transplant", (int)source + r->first_layer,
                                    (int)target + r->first_layer);
  const char *note =
      report_format(r,
                    "Final norm and unembedding applied to every layer's output, for each "
                    "generated token; the stronger the colour, the more probable. %s",
                    report_layers_note(r));
  TRY(report_figure_add(r, "figure8", "lens", title, note, &f, error));
  const double part = 66 + LENS_ROW * (double)layers;
  svg_open(&f->svg, 60 + LENS_CELL * (double)(tokens < 8 ? 8 : tokens), 3 * part + 10, f->title);
  for (size_t k = 0; k < 3; k++)
    TRY(draw_run(&f->svg, r, 40, 50 + part * (double)k, titles[k],
                 json_object_get(r->lens, names[k]), error));
  svg_close(&f->svg);
  return f->svg.failed ? err_memory(error, 0) : XT_STATUS_OK;
}
