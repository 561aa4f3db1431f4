/* SPDX-License-Identifier: Apache-2.0 */
/* Every file of tests/fuzz/corpus through its reader: seeds, and what the fuzzer found once. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* The bytes of a file; the caller frees. */
static uint8_t *read_all(const char *path, size_t *size) {
  FILE *in = fopen(path, "rb");
  if (!in || fseek(in, 0, SEEK_END) != 0) return NULL;
  *size = (size_t)ftell(in);
  rewind(in);
  uint8_t *bytes = malloc(*size + 1);
  const size_t got = bytes ? fread(bytes, 1, *size, in) : 0;
  fclose(in);
  return got == *size ? bytes : NULL;
}

/* Cuts and flips of one seed, so that a plain build sees more than whole files. */
static void vary(const FuzzTarget *target, const uint8_t *bytes, size_t size) {
  uint8_t *copy = malloc(size + 1);
  const size_t step = size / 16 + 1;
  for (size_t cut = 0; copy && cut < size; cut += step) {
    memcpy(copy, bytes, size);
    target->run(copy, cut);
    copy[cut] ^= 0x20;
    target->run(copy, size);
  }
  free(copy);
}

static int run_folder(const FuzzTarget *target, bool variants) {
  char folder[600], path[900];
  int count = 0;
  snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", XT_SOURCE_DIR, target->name);
  DIR *list = opendir(folder);
  for (const struct dirent *entry; list && (entry = readdir(list));) {
    size_t size;
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    uint8_t *bytes = read_all(path, &size);
    if (!bytes) continue;
    printf("# %s\n", entry->d_name);
    fflush(stdout); /* a crash then says of what */
    target->run(bytes, size);
    if (variants) vary(target, bytes, size);
    free(bytes);
    count++;
  }
  if (list) closedir(list);
  return count;
}

int main(void) {
  int failed = 0, number = 0;
  for (const FuzzTarget *t = fuzz_targets; t->name; t++) {
    const int count = run_folder(t, strcmp(t->name, "verify") != 0);
    printf("%s %d - %s: %d files\n", count ? "ok" : "not ok", ++number, t->name, count);
    failed += !count;
  }
  printf("1..%d\n", number);
  return failed ? 1 : 0;
}
