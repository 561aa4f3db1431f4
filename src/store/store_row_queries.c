/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_row_queries.h"

#include <stdio.h>
#include <string.h>

#include "store/store_metrics.h"

/* Values of texts (store_metrics.c), or nulls in a store without them. 'none': measured, but there
 * was nothing to measure. */
static const char measured[] =
    "(SELECT ifnull(value, 'none') FROM text_metrics m WHERE m.text = t.id AND m.name = "
    "'nll_standalone'),"
    " (SELECT ifnull(value, 'none') FROM pair_metrics m WHERE m.instance = ?1 AND m.text = t.id "
    "AND m.name = 'nll_conditional'),"
    " (SELECT value FROM text_metrics m WHERE m.text = t.id AND m.name = 'lang'),"
    " (SELECT value FROM text_metrics m WHERE m.text = t.id AND m.name = 'lang_probability')";
static const char unmeasured[] = "NULL, NULL, NULL, NULL";

#define OF_RESPONSE "SELECT t.ids, t.text, r.margin, r.entropy, r.mean_entropy, r.mean_logprob, "
static const char untouched[] = OF_RESPONSE "'vanilla', -1, -1, NULL, %s, t.id, NULL FROM vanilla "
                                            "r JOIN texts t ON t.id = r.text WHERE r.instance = ?1";
static const char of_source[] = OF_RESPONSE "'source', -1, -1, NULL, %s, t.id, NULL FROM sources r "
                                            "JOIN texts t ON t.id = r.text WHERE r.instance = ?1";
#define OF_TRANSPLANT                                                                          \
  OF_RESPONSE "r.site, r.source_layer, r.target_layer, NULL, %s, t.id, NULL FROM responses r " \
              "JOIN texts t ON t.id = r.text WHERE r.instance = ?1"
static const char transplanted[] = OF_TRANSPLANT " ORDER BY r.site, r.source_layer, r.target_layer";
static const char of_site[] =
    OF_TRANSPLANT " AND r.site = ?2 ORDER BY r.source_layer, r.target_layer";
static const char selected[] =
    OF_RESPONSE "s.site AS site, s.source_layer, s.target_layer, s.strategy AS strategy, %s, t.id, "
                "s.site FROM selections s"
                " JOIN responses r ON r.instance = s.instance AND r.site = s.site AND "
                "r.source_layer = s.source_layer AND r.target_layer = s.target_layer"
                " JOIN texts t ON t.id = r.text WHERE s.instance = ?1 UNION ALL " OF_RESPONSE
                "'vanilla', -1, -1, s.strategy, %s, t.id, s.site FROM selections s JOIN vanilla r "
                "ON r.instance = s.instance JOIN texts t ON t.id = r.text"
                " WHERE s.instance = ?1 AND s.source_layer < 0 ORDER BY strategy, site";

/* Samples have no margins and entropies. */
static const char sampled[] =
    "SELECT t.ids, t.text, NULL, NULL, NULL, r.mean_logprob, 'sample', -1, -1, NULL, %s, t.id, "
    "NULL, r.temperature, r.top_p, r.seed, r.number FROM samples r"
    " JOIN texts t ON t.id = r.text WHERE r.instance = ?1 ORDER BY r.temperature, r.top_p, r.seed, "
    "r.number";

static xt_status prepare(xt_store *store, const char *format, sqlite3_stmt **out, xt_error *error) {
  char sql[4 * sizeof measured + sizeof selected];
  const char *columns = metrics_exist(store) ? measured : unmeasured;
  const char *first = strstr(format, "%s"), *second = strstr(first + 2, "%s");
  if (second)
    snprintf(sql, sizeof sql, "%.*s%s%.*s%s%s", (int)(first - format), format, columns,
             (int)(second - first - 2), first + 2, columns, second + 2);
  else
    snprintf(sql, sizeof sql, "%.*s%s%s", (int)(first - format), format, columns, first + 2);
  return db_prepare(&store->db, sql, out, error);
}

xt_status row_queries_prepare(xt_store *store, RowKind kind, sqlite3_stmt *out[ROW_STATEMENTS],
                              xt_error *error) {
  static const char *const formats[][ROW_STATEMENTS] = {
      [ROWS_RESPONSES] = {untouched, transplanted},
      [ROWS_UNTOUCHED] = {untouched},
      [ROWS_SITE] = {of_site},
      [ROWS_SOURCES] = {of_source},
      [ROWS_SAMPLES] = {sampled},
      [ROWS_SELECTIONS] = {selected}};
  xt_status status = XT_STATUS_OK;
  for (size_t i = 0; i < ROW_STATEMENTS && formats[kind][i] && !status; i++)
    status = prepare(store, formats[kind][i], &out[i], error);
  return status;
}
