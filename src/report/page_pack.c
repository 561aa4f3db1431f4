/* SPDX-License-Identifier: Apache-2.0 */
/* How the data of the page are packed (page_data.c says what they are). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "analysis/site_maps.h"
#include "base/mem.h"
#include "report/escape.h"
#include "report/page_parts.h"

xt_status pack_bytes(const PagePack *pack, const char *name, const void *bytes, size_t size,
                     xt_error *error) {
  TextBuffer *out = pack->out;
  uLongf packed_size = compressBound((uLong)size);
  unsigned char *packed;
  TRY(MEM_ALLOC(&packed, packed_size, error));
  const int code = compress2(packed, &packed_size, bytes, (uLong)size, 6);
  if (code != Z_OK) {
    free(packed);
    return err_memory(error, packed_size);
  }
  text_buffer_format(out, "<script type=\"application/octet-stream\" id=\"x-%s%s\">", pack->prefix,
                     name);
  escape_base64(out, packed, packed_size);
  text_buffer_add_text(out, "</script>\n");
  free(packed);
  return out->failed ? err_memory(error, 0) : XT_STATUS_OK;
}

static void put_le(unsigned char *out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) out[i] = (unsigned char)(value >> (8 * i));
}

xt_status pack_numbers(const PagePack *out, const char *name, const void *values, size_t width,
                       size_t count, xt_error *error) {
  unsigned char *bytes;
  TRY(mem_alloc(&bytes, count, width, error));
  for (size_t i = 0; i < count; i++)
    put_le(bytes + width * i,
           width == 4 ? ((const uint32_t *)values)[i] : ((const uint64_t *)values)[i], width);
  const xt_status status = pack_bytes(out, name, bytes, width * count, error);
  free(bytes);
  return status;
}

xt_status pack_hundredths(const PagePack *out, const char *name, const float *values,
                          const uint32_t *texts, size_t count, xt_error *error) {
  enum { MOST = 65534, NONE = 65535 };
  unsigned char *bytes;
  TRY(mem_alloc(&bytes, count, 2, error));
  for (size_t i = 0; i < count; i++) {
    const bool there = texts[i] != TEXT_ABSENT && values[i] >= 0;
    put_le(bytes + 2 * i,
           !there                       ? NONE
           : values[i] * 100.0f >= MOST ? MOST
                                        : (uint64_t)lroundf(values[i] * 100.0f),
           2);
  }
  const xt_status status = pack_bytes(out, name, bytes, 2 * count, error);
  free(bytes);
  return status;
}

xt_status pack_maps(const PagePack *out, const char *name, const AnalysisSite *site, size_t places,
                    xt_error *error) {
  uint32_t *bits, *to;
  TRY(MEM_ALLOC(&bits, 2 * places * site->map_count + 1, error));
  to = bits;
  for (size_t m = 0; m < site->map_count; m++)
    for (int weights = 0; weights < 2; weights++)
      for (size_t k = 0; k < places; k++) {
        const float value = (float)(weights ? site->maps[m].weights : site->maps[m].sums)[k];
        memcpy(to++, &value, sizeof value);
      }
  const xt_status status = pack_numbers(out, name, bits, 4, (size_t)(to - bits), error);
  free(bits);
  return status;
}
