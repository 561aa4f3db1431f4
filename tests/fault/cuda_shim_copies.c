/* SPDX-License-Identifier: Apache-2.0 */
/* Copies from pinned memory of the pretended CUDA driver: done as late as may be, and what they read
 * is then still what it was when they began. */
#include "cuda_shim.h"

#include <stdlib.h>
#include <string.h>

typedef struct Copy {
  char *to;
  const char *from;
  char *was; /* what `from` held */
  size_t bytes;
} Copy;
enum { COPIES = 4096 };
static Copy copies[COPIES];
static long begun, done;
static bool lost;

void shim_copies_finish(long until) {
  for (; done < until; done++) {
    Copy *c = &copies[done % COPIES];
    if (!lost && memcmp(c->from, c->was, c->bytes) != 0)
      wrong("cuMemcpyHtoDAsync_v2", "pinned memory changed before its copy was waited for");
    if (!lost) memcpy(c->to, c->from, c->bytes);
    free(c->was);
  }
}

void shim_copy_begin(char *to, const char *from, size_t bytes) {
  if (begun - done == COPIES) shim_copies_finish(done + 1);
  Copy *c = &copies[begun++ % COPIES];
  *c = (Copy){to, from, malloc(bytes), bytes};
  CHECK(c->was, "the host's memory is full");
  memcpy(c->was, from, bytes);
}

long shim_copies_begun(void) { return begun; }

bool shim_copies_read(const char *from, size_t bytes) {
  for (long i = done; i < begun && !lost; i++)
    if (copies[i % COPIES].from >= from && copies[i % COPIES].from < from + bytes) return true;
  return false;
}

void shim_copies_lose(void) {
  lost = true;
  shim_copies_finish(begun);
}
