/* SPDX-License-Identifier: Apache-2.0 */
/* A set of strings, walked a byte at a time. */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct TrieNode {
  uint32_t child, sibling; /* 0: none */
  int32_t token;           /* of the string that ends here, or -1 */
  uint8_t byte;
} TrieNode;

/* Zero-initialise. */
typedef struct Trie {
  TrieNode *nodes; /* nodes[0] is the root */
  size_t count, capacity;
  uint32_t first[256]; /* the root's children by byte; 0: none */
} Trie;

/* A string that is there already keeps its token. */
xt_status trie_add(Trie *trie, const char *text, size_t length, int32_t token, xt_error *error);

/* From *node (0: the root) to its child by that byte; false, and nothing changes, where there is
 * none. */
bool trie_step(const Trie *trie, uint32_t *node, uint8_t byte);

void trie_free(Trie *trie);

#endif
