/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing in SVG. Colours are classes, which a style sheet gives values, so that one drawing serves light and dark. */
#ifndef REPORT_SVG_H
#define REPORT_SVG_H

#include "base/text_buffer.h"

/* Of a drawing that stands alone: goes in after its first tag. */
extern const char svg_style[];

void svg_open(TextBuffer *out, double width, double height, const char *title);
void svg_close(TextBuffer *out);
/* `anchor`: "start", "middle", "end". `extra`: more attributes, or "". */
void svg_text(TextBuffer *out, double x, double y, const char *anchor, const char *class, const char *text);
void svg_line(TextBuffer *out, double x1, double y1, double x2, double y2, const char *class);
void svg_rect(TextBuffer *out, double x, double y, double width, double height, const char *class, const char *title);

/* A frame with axes: values of x in [x_low, x_high], of y in [y_low, y_high]. */
typedef struct Plot {
  double left, top, width, height;
  double x_low, x_high, y_low, y_high;
} Plot;

/* Widens [low, high] to round numbers and gives the step between ticks. */
double plot_round(double *low, double *high, int ticks);
double plot_x(const Plot *plot, double x);
double plot_y(const Plot *plot, double y);
/* Grid, ticks and names. x ticks stand at whole numbers; y is in per cent. */
void plot_axes(TextBuffer *out, const Plot *plot, double y_step, const char *title, const char *x_name, const char *y_name);
/* A line through (first + i, y[i]); NaN interrupts it. */
void plot_curve(TextBuffer *out, const Plot *plot, double first, const double *y, int count, const char *class, const char *title);
/* The band between two of them. */
void plot_band(TextBuffer *out, const Plot *plot, double first, const double *low, const double *high, int count, const char *class);

/* "#rrggbb" of a gain in [-1, 1]: orange, white, blue, which readers of any colour vision tell apart. */
void svg_diverging(double value, char out[8]);

#endif
