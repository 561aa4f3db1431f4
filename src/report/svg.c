/* SPDX-License-Identifier: Apache-2.0 */
#include "report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "report/escape.h"

/* Font names that browsers, librsvg, Inkscape and Cairo can resolve. */
#define SVG_FONTS "Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif"

/* The style of each class of a drawing on white paper; page.css has the same names. NULL: not set.
 * Lines use stroke opacity, because ImageMagick fills elements that have an opacity; it does not
 * support fill opacity, so that bands have a light colour. */
typedef struct Style {
  const char *name, *fill, *stroke, *width, *dash, *seen, *filled,
      *weight; /* seen, filled: opacity of stroke and fill */
} Style;

#define INK "#1c2024"
#define SOFT "#60646c"
#define LINE "#d9dbe0"
static const Style styles[] = {
    {.name = "paper", .fill = "#ffffff"},
    {.name = "t", .fill = INK},
    {.name = "s", .fill = SOFT},
    {.name = "h", .fill = INK, .weight = "bold"},
    {.name = "in", .fill = "#ffffff", .weight = "bold"},
    {.name = "g", .stroke = LINE},
    {.name = "z", .stroke = SOFT},
    {.name = "d", .fill = "none", .stroke = SOFT, .dash = "2 3"},
    {.name = "c", .fill = "none", .width = "1.2", .seen = "0.75"},
    {.name = "w", .fill = "none", .width = "2.4"},
    {.name = "dash", .dash = "5 4", .seen = "0.8"},
    {.name = "gap", .fill = "none", .width = "1", .dash = "1 3", .seen = "0.75"},
    {.name = "band", .filled = "0.5"},
    {.name = "bar", .width = "6", .seen = "0.25"},
    {.name = "ring", .fill = "none", .width = "0.8"},
    {.name = "k", .stroke = INK},
    {.name = "k0", .stroke = "#0072b2"},
    {.name = "k1", .stroke = "#d55e00"},
    {.name = "k2", .stroke = "#009e73"},
    {.name = "k3", .stroke = "#a6548c"},
    {.name = "k4", .stroke = "#b37400"},
    {.name = "k5", .stroke = "#3a9bd4"},
    {.name = "f", .fill = INK},
    {.name = "f0", .fill = "#0072b2"},
    {.name = "f1", .fill = "#d55e00"},
    {.name = "f2", .fill = "#009e73"},
    {.name = "f3", .fill = "#a6548c"},
    {.name = "f4", .fill = "#b37400"},
    {.name = "f5", .fill = "#3a9bd4"},
    {.name = "b0", .fill = "#b2d5e8"},
    {.name = "b1", .fill = "#f2cfb2"},
    {.name = "b2", .fill = "#b2e2d5"},
    {.name = "b3", .fill = "#e4ccdc"},
    {.name = "b4", .fill = "#e8d5b2"},
    {.name = "b5", .fill = "#c4e1f2"},
    {.name = "tie", .fill = "#b9bbc6"},
};

static void set_attribute(TextBuffer *out, const char *name, const char *value) {
  if (value) text_buffer_format(out, " %s=\"%s\"", name, value);
}

static void style_take(const char **to, const char *from) {
  if (from) *to = from;
}

void svg_class(TextBuffer *out, const char *class) {
  Style all = {0};
  for (const char *word = class; *word; word += strspn(word, " ")) {
    const size_t length = strcspn(word, " ");
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
      const Style *style = &styles[i];
      if (strlen(style->name) != length || memcmp(style->name, word, length) != 0) continue;
      style_take(&all.fill, style->fill);
      style_take(&all.stroke, style->stroke);
      style_take(&all.width, style->width);
      style_take(&all.dash, style->dash);
      style_take(&all.seen, style->seen);
      style_take(&all.filled, style->filled);
      style_take(&all.weight, style->weight);
    }
    word += length;
  }
  text_buffer_format(out, " class=\"%s\"", class);
  set_attribute(out, "fill", all.fill);
  set_attribute(out, "stroke", all.stroke);
  set_attribute(out, "stroke-width", all.width);
  set_attribute(out, "stroke-dasharray", all.dash);
  set_attribute(out, "stroke-opacity", all.seen);
  set_attribute(out, "fill-opacity", all.filled);
  set_attribute(out, "font-weight", all.weight);
}

static void add_title(TextBuffer *out, const char *title) {
  if (!title[0]) return;
  text_buffer_add_text(out, "<title>");
  escape_html(out, title);
  text_buffer_add_text(out, "</title>");
}

void svg_open(TextBuffer *out, double width, double height, const char *title) {
  text_buffer_format(
      out,
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
      "height=\"%.0f\" font-family=\"" SVG_FONTS
      "\" font-size=\"12\" stroke=\"none\" role=\"img\" aria-label=\"",
      width, height, width, height);
  escape_html(out, title);
  text_buffer_add_text(out, "\">\n<rect");
  svg_class(out, "paper");
  text_buffer_format(out, " width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
}

void svg_close(TextBuffer *out) { text_buffer_add_text(out, "</svg>\n"); }

void svg_text(TextBuffer *out, double x, double y, const char *anchor, const char *class,
              const char *text) {
  text_buffer_format(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor);
  svg_class(out, class);
  text_buffer_add_text(out, ">");
  escape_html(out, text);
  text_buffer_add_text(out, "</text>\n");
}

void svg_text_up(TextBuffer *out, double x, double y, const char *class, const char *text) {
  text_buffer_format(
      out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\"",
      x, y, x, y);
  svg_class(out, class);
  text_buffer_add_text(out, ">");
  escape_html(out, text);
  text_buffer_add_text(out, "</text>\n");
}

void svg_line(TextBuffer *out, double x1, double y1, double x2, double y2, const char *class) {
  text_buffer_format(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"", x1, y1, x2, y2);
  svg_class(out, class);
  text_buffer_add_text(out, "/>\n");
}

void svg_rect(TextBuffer *out, double x, double y, double width, double height, const char *class,
              const char *title) {
  text_buffer_format(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"", x, y, width,
                     height);
  svg_class(out, class);
  text_buffer_add_text(out, ">");
  add_title(out, title);
  text_buffer_add_text(out, "</rect>\n");
}

void svg_circle(TextBuffer *out, double x, double y, double radius, const char *class,
                const char *title) {
  text_buffer_format(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"", x, y, radius);
  svg_class(out, class);
  text_buffer_add_text(out, ">");
  add_title(out, title);
  text_buffer_add_text(out, "</circle>\n");
}

double plot_round(double *low, double *high, int ticks) {
  const double range = *high > *low ? *high - *low : 0.01;
  const double raw = range / ticks, power = pow(10, floor(log10(raw))), part = raw / power;
  const double step = power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
  *low = floor(*low / step + 1e-9) * step;
  *high = ceil(*high / step - 1e-9) * step;
  if (*high <= *low) *high = *low + step;
  return step;
}

double plot_x(const Plot *p, double x) {
  return p->left + (x - p->x_low) / (p->x_high > p->x_low ? p->x_high - p->x_low : 1) * p->width;
}
double plot_y(const Plot *p, double y) {
  return p->top + p->height - (y - p->y_low) / (p->y_high - p->y_low) * p->height;
}

void plot_axes(TextBuffer *out, const Plot *p, double y_step, const char *title, const char *x_name,
               const char *y_name) {
  char text[64];
  svg_text(out, p->left, p->top - 22, "start", "h", title);
  svg_text(out, p->left, p->top - 7, "start", "s", y_name);
  for (int k = 0; p->y_low + k * y_step <= p->y_high + y_step / 2; k++) {
    const double y = p->y_low + k * y_step;
    svg_line(out, p->left, plot_y(p, y), p->left + p->width, plot_y(p, y),
             fabs(y) < y_step / 1000 ? "z" : "g");
    number_print(text, sizeof text, "%.*f", y_step < 0.00999 ? 1 : 0,
                 fabs(y) < y_step / 1000 ? 0.0 : 100 * y);
    svg_text(out, p->left - 7, plot_y(p, y) + 4, "end", "s", text);
  }
  const double count = p->x_high - p->x_low;
  const int x_step = count <= 12 ? 1 : count <= 24 ? 2 : count <= 48 ? 4 : 10;
  for (int x = (int)p->x_low; x <= (int)p->x_high; x++) {
    if ((x - (int)p->x_low) % x_step != 0) continue;
    snprintf(text, sizeof text, "%d", x);
    svg_text(out, plot_x(p, x), p->top + p->height + 17, "middle", "s", text);
  }
  svg_text(out, p->left + p->width / 2, p->top + p->height + 35, "middle", "s", x_name);
}

/* The index of the next value from `at` on that is not NaN; `count`: none. */
static int next_there(const double *y, int at, int count) {
  while (at < count && isnan(y[at])) at++;
  return at;
}

/* Dotted lines over the gaps, and points for values without neighbours. */
static void curve_gaps(TextBuffer *out, const Plot *p, const double *y, int count, bool wide,
                       const char *colour, const char *title) {
  char class[32];
  int last = -1;
  for (int i = next_there(y, 0, count); i < count; i = next_there(y, i + 1, count)) {
    const double x = plot_x(p, p->x_low + i), at = plot_y(p, y[i]);
    if (last >= 0 && i > last + 1) {
      snprintf(class, sizeof class, "gap k%s", colour);
      svg_line(out, plot_x(p, p->x_low + last), plot_y(p, y[last]), x, at, class);
    }
    const bool alone = (i == 0 || isnan(y[i - 1])) && (i + 1 == count || isnan(y[i + 1]));
    snprintf(class, sizeof class, "f%s", colour);
    if (alone) svg_circle(out, x, at, wide ? 3.4 : 2.2, class, title);
    last = i;
  }
}

void plot_curve(TextBuffer *out, const Plot *p, const double *y, int count, const char *class,
                const char *colour, const char *title) {
  const bool wide = class[0] == 'w';
  bool open = false, line = false;
  char all[48];
  for (int i = 0; i + 1 < count; i++) line = line || (!isnan(y[i]) && !isnan(y[i + 1]));
  curve_gaps(out, p, y, count, wide, colour, title);
  if (!line) return;
  snprintf(all, sizeof all, "%s k%s", class, colour);
  text_buffer_add_text(out, wide ? "<g stroke-linecap=\"round\"" : "<path");
  svg_class(out, all);
  text_buffer_add_text(out, wide ? ">" : " d=\"");
  for (int i = 0; i < count; i++) {
    const double x = plot_x(p, p->x_low + i), at = isnan(y[i]) ? 0 : plot_y(p, y[i]);
    if (wide && open && !isnan(y[i])) /* separate lines, because ImageMagick closes wide paths */
      text_buffer_format(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                         plot_x(p, p->x_low + i - 1), plot_y(p, y[i - 1]), x, at);
    else if (!wide && !isnan(y[i]))
      text_buffer_format(out, "%c%.1f %.1f", open ? 'L' : 'M', x, at);
    open = !isnan(y[i]);
  }
  if (!wide) text_buffer_add_text(out, "\">");
  add_title(out, title);
  text_buffer_add_text(out, wide ? "</g>\n" : "</path>\n");
}

void plot_band(TextBuffer *out, const Plot *p, const double *low, const double *high, int count,
               const char *colour) {
  char class[32];
  for (int from = 0, to; from < count; from = to + 1) {
    for (to = from; to < count && !isnan(low[to]) && !isnan(high[to]);) to++;
    if (to == from) continue;
    if (to == from + 1) {
      const double x = plot_x(p, p->x_low + from);
      snprintf(class, sizeof class, "bar k%s", colour);
      svg_line(out, x, plot_y(p, low[from]), x, plot_y(p, high[from]), class);
      continue;
    }
    snprintf(class, sizeof class, "band b%s", colour);
    text_buffer_add_text(out, "<path");
    svg_class(out, class);
    text_buffer_add_text(out, " d=\"");
    for (int i = from; i < to; i++)
      text_buffer_format(out, "%c%.1f %.1f", i > from ? 'L' : 'M', plot_x(p, p->x_low + i),
                         plot_y(p, high[i]));
    for (int i = to; i-- > from;)
      text_buffer_format(out, "L%.1f %.1f", plot_x(p, p->x_low + i), plot_y(p, low[i]));
    text_buffer_add_text(out, "Z\"/>\n");
  }
}

#define LABEL_HEIGHT 11.0

static int by_height(const void *left, const void *right) {
  const PlotLabel *a = left, *b = right;
  if (a->y < b->y || a->y > b->y) return a->y < b->y ? -1 : 1;
  return strcmp(a->text, b->text);
}

/* Places labels, which are sorted by the ends of their lines: labels that would overlap are stacked
 * around the middle of their lines. */
static void place_labels(const PlotLabel *labels, double *at, size_t count, double top,
                         double bottom) {
  for (size_t i = 0; i < count; i++) {
    size_t from = i, end = i + 1;
    at[i] = labels[i].y;
    while (from &&
           at[from] - at[from - 1] < LABEL_HEIGHT - 0.01) { /* joins the labels before, which
                                                               have been placed */
      double middle = 0;
      from--;
      while (from && at[from] - at[from - 1] < LABEL_HEIGHT + 0.01) from--;
      for (size_t k = from; k < end; k++) middle += labels[k].y / (double)(end - from);
      double first = middle - LABEL_HEIGHT * (double)(end - from - 1) / 2;
      first = fmax(fmin(first, bottom - LABEL_HEIGHT * (double)(end - from - 1)), top);
      for (size_t k = from; k < end; k++) at[k] = first + LABEL_HEIGHT * (double)(k - from);
    }
  }
}

xt_status plot_labels(TextBuffer *out, const Plot *p, PlotLabel *labels, size_t count,
                      xt_error *error) {
  const double right = p->left + p->width;
  double *at;
  char class[32];
  TRY(MEM_ALLOC(&at, count, error));
  qsort(labels, count, sizeof *labels, by_height);
  place_labels(labels, at, count, p->top - 6, p->top + p->height + 4);
  for (size_t i = 0; i < count; i++) {
    snprintf(class, sizeof class, "c k%s", labels[i].colour);
    svg_line(out, right + 2, labels[i].y, right + 15, at[i], class);
    snprintf(class, sizeof class, "f%s", labels[i].colour);
    text_buffer_format(out, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"11\"", right + 18, at[i] + 4);
    svg_class(out, class);
    text_buffer_add_text(out, ">");
    escape_html(out, labels[i].text);
    text_buffer_add_text(out, "</text>\n");
  }
  free(at);
  return XT_STATUS_OK;
}

void svg_diverging(double value, char out[8]) {
  static const int stops[2][3][3] = {{{247, 247, 247}, {253, 184, 99}, {179, 88, 6}},
                                     {{247, 247, 247}, {146, 197, 222}, {33, 102, 172}}};
  const double size = fmin(fabs(value), 1) * 2;
  const int from = size < 1 ? 0 : 1;
  const double part = size - from;
  int rgb[3];
  for (int c = 0; c < 3; c++)
    rgb[c] = (int)lround(stops[value > 0][from][c] +
                         part * (stops[value > 0][from + 1][c] - stops[value > 0][from][c]));
  snprintf(out, 8, "#%02x%02x%02x", (unsigned)rgb[0] & 255u, (unsigned)rgb[1] & 255u,
           (unsigned)rgb[2] & 255u);
}
