/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer's entry. The program is called fuzz-TARGET, by links to one file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const FuzzTarget *target;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  const char *slash = strrchr((*argv)[0], '/'), *name = slash ? slash + 1 : (*argv)[0];
  target = strncmp(name, "fuzz-", 5) == 0 ? fuzz_find(name + 5) : NULL;
  if (target) return 0;
  fprintf(stderr, "call me fuzz-TARGET, by a link:");
  for (const FuzzTarget *t = fuzz_targets; t->name; t++) fprintf(stderr, " %s", t->name);
  fputc('\n', stderr);
  exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  target->run(data, size);
  return 0;
}
