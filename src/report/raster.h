/* SPDX-License-Identifier: Apache-2.0 */
/* Drawings as PNG and PDF, by librsvg and Cairo. Both are opened when they are needed, so that a
 * program that draws nothing needs neither and does not start more slowly. */
#ifndef REPORT_RASTER_H
#define REPORT_RASTER_H

#include "base/text_buffer.h"

typedef struct Raster Raster;
typedef struct RasterPages RasterPages;

/* XT_STATUS_UNSUPPORTED, with the name of the library, if one is not installed. The caller closes
 * *out. */
xt_status raster_open(Raster **out, xt_error *error);
void raster_close(Raster *raster); /* accepts NULL */

/* An SVG drawing as a file of its own size; PNG with two pixels per unit. */
xt_status raster_png(const Raster *raster, const TextBuffer *svg, const char *path,
                     xt_error *error);
xt_status raster_pdf(const Raster *raster, const TextBuffer *svg, const char *path,
                     xt_error *error);

/* A PDF of several drawings, one per page. Closing finishes the file, and always releases
 * *pages. */
xt_status raster_pages_open(const Raster *raster, const char *path, RasterPages **out,
                            xt_error *error);
xt_status raster_pages_add(RasterPages *pages, const TextBuffer *svg, xt_error *error);
xt_status raster_pages_close(RasterPages *pages, xt_error *error);

#endif
