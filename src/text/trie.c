/* SPDX-License-Identifier: Apache-2.0 */
#include "text/trie.h"

#include <stdlib.h>

#include "base/mem.h"

static xt_status new_node(Trie *t, uint8_t byte, uint32_t *node, xt_error *error) {
  TRY(MEM_GROW(&t->nodes, &t->capacity, t->count + 1, error));
  t->nodes[t->count] = (TrieNode){0, 0, -1, byte};
  *node = (uint32_t)t->count++;
  return XT_STATUS_OK;
}

bool trie_step(const Trie *t, uint32_t *node, uint8_t byte) {
  uint32_t child = *node == 0 ? t->first[byte] : t->nodes[*node].child;
  while (*node && child && t->nodes[child].byte != byte) child = t->nodes[child].sibling;
  if (child) *node = child;
  return child != 0;
}

xt_status trie_add(Trie *t, const char *text, size_t length, int32_t token, xt_error *error) {
  uint32_t node = 0;
  if (!t->count) TRY(new_node(t, 0, &node, error));
  node = 0;
  for (size_t i = 0; i < length; i++) {
    const uint8_t byte = (uint8_t)text[i];
    uint32_t child;
    if (trie_step(t, &node, byte)) continue;
    TRY(new_node(t, byte, &child, error));
    if (node == 0) {
      t->first[byte] = child;
    } else {
      t->nodes[child].sibling = t->nodes[node].child;
      t->nodes[node].child = child;
    }
    node = child;
  }
  if (node && t->nodes[node].token < 0) t->nodes[node].token = token;
  return XT_STATUS_OK;
}

void trie_free(Trie *t) {
  free(t->nodes);
  *t = (Trie){0};
}
