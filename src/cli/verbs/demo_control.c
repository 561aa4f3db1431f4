/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs/demo_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shell/output.h"

static const char *kind_of(const xt_question *q) {
  const char *comma = strrchr(q->source, ',');
  return comma ? comma : "";
}

static bool is_compatible(const xt_question *to, const xt_question *from, bool same_kind) {
  if (strcmp(to->lang, from->lang) != 0 || strcmp(to->source, from->source) == 0) return false;
  if (to->gold && from->gold && strcmp(to->gold, from->gold) == 0) return false;
  return !same_kind || strcmp(kind_of(to), kind_of(from)) == 0;
}

static const xt_question *lender(const SweepJob *job, size_t q) {
  for (int same_kind = 1; same_kind >= 0; same_kind--)
    for (size_t step = 1; step < job->info.questions; step++) {
      const xt_question *other = xt_job_question(job->job, (q + step) % job->info.questions);
      if (is_compatible(xt_job_question(job->job, q), other, same_kind)) return other;
    }
  return NULL;
}

static bool write_line(FILE *out, const xt_question *q, const xt_question *other) {
  json_t *line = json_object();
  bool ok = json_add(line, "id", json_string(q->id));
  ok = json_add(line, "lang", json_string(q->lang)) && ok;
  ok = json_add(line, "source_lang", json_string(q->source_lang)) && ok;
  ok = json_add(line, "source", json_string(other->source)) && ok;
  ok = json_add(line, "target", json_string(q->target)) && ok;
  ok = json_add(line, "gold", q->gold ? json_string(q->gold) : json_null()) && ok;
  ok = json_add(line, "task", json_string(q->task)) && ok;
  ok = ok && json_dumpf(line, out, 0) == 0 && fputc('\n', out) != EOF;
  json_decref(line);
  return ok;
}

xt_status control_write(const SweepJob *job, const char *path, size_t *count, xt_error *error) {
  FILE *out = fopen(path, "w");
  if (!out)
    return error_set(error, XT_STATUS_IO, path, NULL, -1, "cannot write: %s", strerror(errno));
  bool ok = true;
  *count = 0;
  for (size_t q = 0; q < job->info.questions && ok; q++) {
    const xt_question *other = lender(job, q);
    if (!other) continue;
    ok = write_line(out, xt_job_question(job->job, q), other);
    ++*count;
  }
  ok = fclose(out) == 0 && ok;
  return ok ? XT_STATUS_OK
            : error_set(error, XT_STATUS_IO, path, NULL, -1, "cannot write: %s", strerror(errno));
}
