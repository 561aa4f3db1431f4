/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where a store's values are checked as they are read, because SQLite keeps any type
 * in any column. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "store/store_parts.h"
#include "text/utf8.h"

xt_status db_damaged(const Db *db, const char *table, xt_error *error, const char *format, ...) {
  char text[400];
  va_list args;
  va_start(args, format);
  number_vprint(text, sizeof text, format, args);
  va_end(args);
  return err_set(error, XT_STATUS_INPUT, db->path, table, -1, "the store is damaged: %s", text);
}

static void wrong(Columns *c, const char *name, const char *should) {
  if (c->status == XT_STATUS_OK)
    c->status = db_damaged(c->db, c->table, c->error, "a value of %s is not %s", name, should);
}

int64_t column_integer(Columns *c, int column, const char *name, int64_t low, int64_t high) {
  if (sqlite3_column_type(c->statement, column) != SQLITE_INTEGER) {
    wrong(c, name, "an integer");
    return low > 0 ? low : 0;
  }
  const int64_t value = sqlite3_column_int64(c->statement, column);
  if (value >= low && value <= high) return value;
  if (c->status == XT_STATUS_OK)
    c->status =
        high == INT64_MAX
            ? db_damaged(c->db, c->table, c->error, "%s is %lld, and should be %lld at least", name,
                         (long long)value, (long long)low)
            : db_damaged(c->db, c->table, c->error, "%s is %lld, and should be from %lld to %lld",
                         name, (long long)value, (long long)low, (long long)high);
  return low;
}

const char *column_any_text(Columns *c, int column, const char *name, size_t *length) {
  *length = 0;
  const int type = sqlite3_column_type(c->statement, column);
  if (type == SQLITE_NULL) return NULL;
  if (type != SQLITE_TEXT) {
    wrong(c, name, "text");
    return "";
  }
  const char *text = (const char *)sqlite3_column_text(c->statement, column);
  const size_t size = (size_t)sqlite3_column_bytes(c->statement, column);
  size_t bad;
  if (!text) {
    if (c->status == XT_STATUS_OK) c->status = err_memory(c->error, size);
    return "";
  }
  if (utf8_valid_prefix(text, size, &bad) != size) {
    wrong(c, name, "UTF-8");
    return "";
  }
  *length = size;
  return text;
}

const char *column_text_or_null(Columns *c, int column, const char *name) {
  size_t length;
  const char *text = column_any_text(c, column, name, &length);
  if (!text || strlen(text) == length) return text;
  wrong(c, name, "text without a NUL in it");
  return "";
}

const char *column_text(Columns *c, int column, const char *name) {
  const char *text = column_text_or_null(c, column, name);
  if (!text) wrong(c, name, "text");
  return text ? text : "";
}

double column_real_or_none(Columns *c, int column, const char *name) {
  const int type = sqlite3_column_type(c->statement, column);
  if (type == SQLITE_NULL) return (double)NAN;
  const double value = sqlite3_column_double(c->statement, column);
  if ((type == SQLITE_FLOAT || type == SQLITE_INTEGER) && isfinite(value)) return value;
  wrong(c, name, "a number");
  return (double)NAN;
}

double column_real(Columns *c, int column, const char *name) {
  if (sqlite3_column_type(c->statement, column) == SQLITE_NULL) wrong(c, name, "a number");
  return column_real_or_none(c, column, name);
}

double column_metric(Columns *c, int column, const char *name, bool *measured) {
  size_t length;
  const int type = sqlite3_column_type(c->statement, column);
  *measured = type != SQLITE_NULL;
  if (type != SQLITE_TEXT) return column_real_or_none(c, column, name);
  if (strcmp(column_any_text(c, column, name, &length), "none") != 0) wrong(c, name, "a number");
  return (double)NAN;
}

const void *column_blob(Columns *c, int column, const char *name, size_t multiple, size_t *size) {
  *size = 0;
  if (sqlite3_column_type(c->statement, column) != SQLITE_BLOB) {
    wrong(c, name, "a blob");
    return NULL;
  }
  const void *bytes = sqlite3_column_blob(c->statement, column);
  const size_t count = (size_t)sqlite3_column_bytes(c->statement, column);
  if (count % multiple) {
    wrong(c, name, "of whole entries");
    return NULL;
  }
  if (!bytes && count) {
    if (c->status == XT_STATUS_OK) c->status = err_memory(c->error, count);
    return NULL;
  }
  *size = count;
  return bytes;
}

size_t column_id_count(Columns *c, int column, const char *name) {
  size_t size;
  column_blob(c, column, name, 4, &size);
  return size / 4;
}

void column_ids(Columns *c, int column, const char *name, int32_t *out, size_t count) {
  size_t size;
  const uint8_t *bytes = column_blob(c, column, name, 4, &size);
  for (size_t i = 0; i < count; i++) {
    uint32_t id = 0;
    for (size_t k = 0; k < 4 && 4 * i + k < size; k++) id |= (uint32_t)bytes[4 * i + k] << (8 * k);
    out[i] = (int32_t)id;
  }
}

void store_check_site(Columns *c, const char *site) {
  xt_site parsed;
  char name[XT_SITE_NAME_SIZE];
  if (c->status != XT_STATUS_OK) return;
  if (xt_site_parse(site, &parsed, NULL) != XT_STATUS_OK ||
      strcmp(xt_site_format(parsed, name), site) != 0)
    c->status = db_damaged(c->db, c->table, c->error, "\"%.40s\" is not a site", site);
}

void store_check_layers(Columns *c, int layers, bool vanilla, int source_layer, int target_layer) {
  if (c->status != XT_STATUS_OK || (vanilla && source_layer == -1 && target_layer == -1)) return;
  if (source_layer < 0 || source_layer >= layers || target_layer < 0 || target_layer >= layers)
    c->status = db_damaged(c->db, c->table, c->error, "layers %d and %d of a model of %d layers",
                           source_layer, target_layer, layers);
}
