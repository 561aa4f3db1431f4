/* SPDX-License-Identifier: Apache-2.0 */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>

/* Drawing area in a 720 x 400 picture. */
enum {
  WIDTH = 720,
  HEIGHT = 400,
  LEFT = 60,
  RIGHT = 20,
  TOP = 36,
  BOTTOM = 46,
  MOST_POINTS = 1200
};

typedef struct Scale {
  double steps, low, high;
} Scale;

static double x_of(const Scale *s, double step) {
  return LEFT + (WIDTH - LEFT - RIGHT) * (s->steps > 1 ? (step - 1) / (s->steps - 1) : 0.5);
}
static double y_of(const Scale *s, double loss) {
  return TOP + (HEIGHT - TOP - BOTTOM) * (s->high - loss) / (s->high - s->low);
}

/* 1, 2 or 5 times a power of ten: some five marks in `range`. */
static double mark_step(double range) {
  const double power = pow(10, floor(log10(range / 5))), ratio = range / 5 / power;
  return power * (ratio < 1.5 ? 1 : ratio < 3.5 ? 2 : ratio < 7.5 ? 5 : 10);
}

static void draw_axes(const Scale *s, TextBuffer *out) {
  const double each = mark_step(s->high - s->low), every = fmax(1, mark_step(s->steps));
  for (double v = ceil(s->low / each) * each; v <= s->high + each * 1e-6; v += each)
    text_buffer_format(out,
                       "<line class=\"g\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text "
                       "x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                       LEFT, WIDTH - RIGHT, y_of(s, v), y_of(s, v), LEFT - 6, y_of(s, v) + 4,
                       fabs(v) < each / 2 ? 0.0 : v);
  for (double v = every; v <= s->steps; v += every)
    text_buffer_format(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                       x_of(s, v), HEIGHT - BOTTOM + 18, v);
  text_buffer_format(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n",
                     (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
}

/* Exponential mean over about a fiftieth of the run; 1: no averaging. */
static void draw_line(const Scale *s, const StepRecord *records, uint64_t count, double weight,
                      const char *class, TextBuffer *out) {
  double mean = records[0].loss;
  const uint64_t stride = count / MOST_POINTS + 1;
  text_buffer_format(out, "<polyline class=\"%s\" points=\"", class);
  for (uint64_t i = 0; i < count; i++) {
    mean += weight * (records[i].loss - mean);
    if (i % stride == 0 || i + 1 == count)
      text_buffer_format(out, "%.1f,%.1f ", x_of(s, (double)i + 1), y_of(s, mean));
  }
  text_buffer_add_text(out, "\"/>\n");
}

void loss_curve_draw(const StepRecord *records, uint64_t count, const char *title,
                     TextBuffer *out) {
  Scale s = {.steps = (double)count, .low = INFINITY, .high = -INFINITY};
  for (uint64_t i = 0; i < count; i++) {
    s.low = fmin(s.low, records[i].loss);
    s.high = fmax(s.high, records[i].loss);
  }
  if (s.low < 0.25 * s.high) s.low = 0;
  if (!(s.high > s.low)) s.high = s.low + 1;
  text_buffer_format(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                     "font-family=\"sans-serif\" font-size=\"12\">\n"
                     "<style>.g{stroke:#ddd}.r{fill:none;stroke:#9bbbe0}.m{fill:none;stroke:#"
                     "1f4e8c;stroke-width:2}</style>\n"
                     "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"22\" "
                     "font-size=\"14\">%s</text>\n",
                     WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, title);
  draw_axes(&s, out);
  draw_line(&s, records, count, 1, "r", out);
  draw_line(&s, records, count, fmin(1, 50 / (double)count), "m", out);
  text_buffer_add_text(out, "</svg>\n");
}
