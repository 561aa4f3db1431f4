/* SPDX-License-Identifier: Apache-2.0 */
/* Drawing in SVG. Every element has a class, by which a page's style sheet sets light or dark
 * colours, and the same style as presentation attributes, so that a separate drawing needs no style
 * sheet: programs other than browsers support neither variables nor media queries. */
#ifndef REPORT_SVG_H
#define REPORT_SVG_H

#include "base/text_buffer.h"

void svg_open(TextBuffer *out, double width, double height, const char *title);
void svg_close(TextBuffer *out);
/* `class`="a b" with the attributes of the classes; if several set the same attribute, the last one
 * counts. */
void svg_class(TextBuffer *out, const char *class);
/* `anchor`: "start", "middle", "end". */
void svg_text(TextBuffer *out, double x, double y, const char *anchor, const char *class,
              const char *text);
/* Text that reads upwards, centred on (x, y). */
void svg_text_up(TextBuffer *out, double x, double y, const char *class, const char *text);
void svg_line(TextBuffer *out, double x1, double y1, double x2, double y2, const char *class);
void svg_rect(TextBuffer *out, double x, double y, double width, double height, const char *class,
              const char *title);
void svg_circle(TextBuffer *out, double x, double y, double radius, const char *class,
                const char *title);

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
void plot_axes(TextBuffer *out, const Plot *plot, double y_step, const char *title,
               const char *x_name, const char *y_name);
/* A line through (x_low + i, y[i]). NaN interrupts it: the gap is dotted, and a value without a
 * neighbour is a point. `colour`: "0" to "5", or "" for the ink. */
void plot_curve(TextBuffer *out, const Plot *plot, const double *y, int count, const char *class,
                const char *colour, const char *title);
/* The band between two of them; a bar where a value has no neighbour. */
void plot_band(TextBuffer *out, const Plot *plot, const double *low, const double *high, int count,
               const char *colour);

/* A label beside the end of a line. */
typedef struct PlotLabel {
  double y; /* where the line ends */
  const char *text, *colour;
} PlotLabel;
/* Writes them to the right of the plot, moved apart if they would overlap. Sorts the array. */
xt_status plot_labels(TextBuffer *out, const Plot *plot, PlotLabel *labels, size_t count,
                      xt_error *error);

/* "#rrggbb" of a gain in [-1, 1]: orange, white, blue, which readers of any colour vision tell
 * apart. */
void svg_diverging(double value, char out[8]);

#endif
