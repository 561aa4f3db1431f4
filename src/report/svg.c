/* SPDX-License-Identifier: Apache-2.0 */
#include "report/svg.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "report/table.h"

const char svg_style[] =
    "<style>svg{font:12px system-ui,sans-serif;--ink:#1c2024;--soft:#60646c;--line:#d9dbe0;--paper:#fff;--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#a6548c;"
    "--c4:#b37400;--c5:#3a9bd4;--tie:#b9bbc6}"
    "@media(prefers-color-scheme:dark){svg{--ink:#edeef0;--soft:#b0b4ba;--line:#3a3f45;--paper:#18191b;--c0:#5cb8f0;--c1:#ff9a57;--c2:#3ddc97;--c3:#e59bd0;"
    "--c4:#ffc53d;--c5:#9ad4f5;--tie:#5a6169}}"
    ".paper{fill:var(--paper)}.t{fill:var(--ink)}.s{fill:var(--soft)}.h{fill:var(--ink);font-weight:600}.in{fill:var(--paper);font-weight:600}"
    ".g{stroke:var(--line)}.z{stroke:var(--soft)}.d{stroke:var(--soft);stroke-dasharray:2 3}"
    ".c{fill:none;stroke-width:1.2;opacity:.75}.w{fill:none;stroke-width:2.4}.dash{stroke-dasharray:5 4;opacity:.8}.band{opacity:.15}"
    ".k{stroke:var(--ink)}.k0{stroke:var(--c0)}.k1{stroke:var(--c1)}.k2{stroke:var(--c2)}.k3{stroke:var(--c3)}.k4{stroke:var(--c4)}.k5{stroke:var(--c5)}"
    ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}.f4{fill:var(--c4)}.f5{fill:var(--c5)}.tie{fill:var(--tie)}</style>";

void svg_open(TextBuffer *out, double width, double height, const char *title) {
  text_buffer_format(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\" aria-label=\"",
                     width, height, width, height);
  html_escape(out, title);
  text_buffer_add_text(out, "\">");
  text_buffer_format(out, "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
}

void svg_close(TextBuffer *out) { text_buffer_add_text(out, "</svg>\n"); }

void svg_text(TextBuffer *out, double x, double y, const char *anchor, const char *class, const char *text) {
  text_buffer_format(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, class);
  html_escape(out, text);
  text_buffer_add_text(out, "</text>\n");
}

void svg_line(TextBuffer *out, double x1, double y1, double x2, double y2, const char *class) {
  text_buffer_format(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class);
}

void svg_rect(TextBuffer *out, double x, double y, double width, double height, const char *class, const char *title) {
  text_buffer_format(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"%s\"><title>", x, y, width, height, class);
  html_escape(out, title);
  text_buffer_add_text(out, "</title></rect>\n");
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

double plot_x(const Plot *p, double x) { return p->left + (x - p->x_low) / (p->x_high > p->x_low ? p->x_high - p->x_low : 1) * p->width; }
double plot_y(const Plot *p, double y) { return p->top + p->height - (y - p->y_low) / (p->y_high - p->y_low) * p->height; }

void plot_axes(TextBuffer *out, const Plot *p, double y_step, const char *title, const char *x_name, const char *y_name) {
  char text[64];
  svg_text(out, p->left, p->top - 22, "start", "h", title);
  svg_text(out, p->left, p->top - 7, "start", "s", y_name);
  for (int k = 0; p->y_low + k * y_step <= p->y_high + y_step / 2; k++) {
    const double y = p->y_low + k * y_step;
    svg_line(out, p->left, plot_y(p, y), p->left + p->width, plot_y(p, y), fabs(y) < y_step / 1000 ? "z" : "g");
    snprintf(text, sizeof text, "%.*f", y_step < 0.00999 ? 1 : 0, fabs(y) < y_step / 1000 ? 0.0 : 100 * y);
    svg_text(out, p->left - 7, plot_y(p, y) + 4, "end", "s", text);
  }
  const double count = p->x_high - p->x_low;
  const int x_step = count <= 12 ? 1 : count <= 24 ? 2 : count <= 48 ? 4 : 10;
  for (int x = (int)p->x_low; x <= (int)p->x_high; x++) {
    if ((x - 1) % x_step != 0 && x != (int)p->x_low) continue;
    snprintf(text, sizeof text, "%d", x);
    svg_text(out, plot_x(p, x), p->top + p->height + 17, "middle", "s", text);
  }
  svg_text(out, p->left + p->width / 2, p->top + p->height + 35, "middle", "s", x_name);
}

void plot_curve(TextBuffer *out, const Plot *p, double first, const double *y, int count, const char *class, const char *title) {
  bool open = false;
  text_buffer_format(out, "<path class=\"%s\" d=\"", class);
  for (int i = 0; i < count; i++) {
    if (!isnan(y[i])) text_buffer_format(out, "%c%.1f %.1f", open ? 'L' : 'M', plot_x(p, first + i), plot_y(p, y[i]));
    open = !isnan(y[i]);
  }
  text_buffer_add_text(out, "\"><title>");
  html_escape(out, title);
  text_buffer_add_text(out, "</title></path>\n");
}

void plot_band(TextBuffer *out, const Plot *p, double first, const double *low, const double *high, int count, const char *class) {
  int from = 0, to = count;
  while (from < to && (isnan(low[from]) || isnan(high[from]))) from++;
  for (int i = from; i < to; i++)
    if (isnan(low[i]) || isnan(high[i])) to = i;
  if (to - from < 2) return;
  text_buffer_format(out, "<path class=\"%s\" d=\"", class);
  for (int i = from; i < to; i++) text_buffer_format(out, "%c%.1f %.1f", i > from ? 'L' : 'M', plot_x(p, first + i), plot_y(p, high[i]));
  for (int i = to; i-- > from;) text_buffer_format(out, "L%.1f %.1f", plot_x(p, first + i), plot_y(p, low[i]));
  text_buffer_add_text(out, "Z\"/>\n");
}

void svg_diverging(double value, char out[8]) {
  static const int stops[2][3][3] = {{{247, 247, 247}, {253, 184, 99}, {179, 88, 6}}, {{247, 247, 247}, {146, 197, 222}, {33, 102, 172}}};
  const double size = fmin(fabs(value), 1) * 2;
  const int from = size < 1 ? 0 : 1;
  const double part = size - from;
  int rgb[3];
  for (int c = 0; c < 3; c++) rgb[c] = (int)lround(stops[value > 0][from][c] + part * (stops[value > 0][from + 1][c] - stops[value > 0][from][c]));
  snprintf(out, 8, "#%02x%02x%02x", (unsigned)rgb[0] & 255u, (unsigned)rgb[1] & 255u, (unsigned)rgb[2] & 255u);
}
