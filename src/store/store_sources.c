/* SPDX-License-Identifier: Apache-2.0 */
/* The source prompts of a store's questions, as token ids. */
#include <stdlib.h>

#include "base/mem.h"
#include "store/store_parts.h"

xt_status store_read_source_ids(xt_store *s,
                                xt_status (*question)(void *user, int64_t number,
                                                      const int32_t *ids, size_t count,
                                                      xt_error *error),
                                void *user, xt_error *error) {
  sqlite3_stmt *statement;
  int32_t *ids = NULL;
  size_t capacity = 0;
  bool more;
  xt_status status;
  TRY(db_prepare(&s->db, "SELECT id, source_ids FROM instances ORDER BY id", &statement, error));
  for (;;) {
    TRY_DONE(db_step(&s->db, statement, &more, "cannot read", error));
    if (!more) break;
    Columns c = columns_of(&s->db, statement, "instances", error);
    const int64_t number = column_integer(&c, 0, "id", 1, ID_MOST);
    const size_t count = column_id_count(&c, 1, "source_ids");
    TRY_DONE(c.status);
    TRY_DONE(MEM_GROW(&ids, &capacity, count, error));
    column_ids(&c, 1, "source_ids", ids, count);
    TRY_DONE(c.status);
    TRY_DONE(question(user, number, ids, count, error));
  }
done:
  free(ids);
  sqlite3_finalize(statement);
  return status;
}
