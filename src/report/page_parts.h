/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the page share: how its data are packed, and which stores it compares. */
#ifndef REPORT_PAGE_PARTS_H
#define REPORT_PAGE_PARTS_H

#include "report/report_parts.h"

/* Where a store's data go, and the beginning of their names. */
typedef struct PagePack {
  TextBuffer *out;
  const char *prefix;
} PagePack;

/* Bytes under a name. */
xt_status pack_bytes(const PagePack *pack, const char *name, const void *bytes, size_t size,
                     xt_error *error);
/* uint32_t (width 4) or uint64_t (8) values, packed with the lowest byte first. */
xt_status pack_numbers(const PagePack *out, const char *name, const void *values, size_t width,
                       size_t count, xt_error *error);
/* Values from 0 on in hundredths; missing values, and those that are not numbers, are 65535. */
xt_status pack_hundredths(const PagePack *out, const char *name, const float *values,
                          const uint32_t *texts, size_t count, xt_error *error);
/* The maps of a site, of `places` languages and cells. */
xt_status pack_maps(const PagePack *out, const char *name, const AnalysisSite *site, size_t places,
                    xt_error *error);

#define COMPARED_MOST (REPORT_MORE_MOST + 4)

/* The stores whose maps the page compares, the report's own first. */
typedef struct Compared {
  const ReportStore *stores[COMPARED_MOST];
  const char *labels[COMPARED_MOST]; /* the model's name, with the file's if models share it */
  char prefixes[COMPARED_MOST][24];  /* "", "1.", .. */
  size_t count;
  const char *large[COMPARED_MOST]; /* those left out, because the page would be too large */
  size_t large_count;
} Compared;

void report_page_compared(xt_report *r, Compared *out);

#endif
