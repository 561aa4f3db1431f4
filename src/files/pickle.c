/* SPDX-License-Identifier: Apache-2.0 */
/* A stack machine over the opcodes that torch.save writes (protocol 2), and the harmless ones of
 * later protocols. Each opcode makes at most one value, so memory is bounded by a multiple of the
 * pickle's size, which is bounded. */
#include "files/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/mem.h"

#define NO_VALUE UINT32_MAX

typedef struct Machine {
  const PickleSource *source;
  xt_error *error;
  Cursor cursor;
  size_t at; /* offset of the current opcode */
  Pickle *pickle;
  uint32_t *stack;
  size_t depth, stack_capacity;
  size_t *marks; /* stack depths at the open MARKs */
  size_t mark_count, mark_capacity;
  uint32_t *memo; /* NO_VALUE where nothing was put */
  size_t memo_count, memo_capacity, memo_next;
  bool stopped;
} Machine;

#define PICKLE_ERROR(m, ...)                                    \
  err_set((m)->error, XT_STATUS_INPUT, (m)->source->file, NULL, \
          (m)->source->base + (long long)(m)->at, __VA_ARGS__)

static size_t floor_of(const Machine *m) { return m->mark_count ? m->marks[m->mark_count - 1] : 0; }

/* Values may move when the next is made: hold indices across calls, not pointers. */
static PickleValue *value_at(const Machine *m, uint32_t index) { return &m->pickle->values[index]; }

static xt_status push(Machine *m, uint32_t index) {
  TRY(MEM_GROW(&m->stack, &m->stack_capacity, m->depth + 1, m->error));
  m->stack[m->depth++] = index;
  return XT_STATUS_OK;
}

static xt_status pop(Machine *m, uint32_t *out) {
  if (m->depth <= floor_of(m))
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  *out = m->stack[--m->depth];
  return XT_STATUS_OK;
}

static xt_status make(Machine *m, PickleKind kind, uint32_t *out) {
  Pickle *p = m->pickle;
  if (p->count >= NO_VALUE) return PICKLE_ERROR(m, "the pickle holds too many values");
  TRY(MEM_GROW(&p->values, &p->capacity, p->count + 1, m->error));
  p->values[p->count] = (PickleValue){.kind = kind, .offset = (uint32_t)m->at};
  *out = (uint32_t)p->count++;
  return XT_STATUS_OK;
}

static xt_status push_new(Machine *m, PickleKind kind, int64_t number) {
  uint32_t index = 0;
  TRY(make(m, kind, &index));
  value_at(m, index)->number = number;
  return push(m, index);
}

static bool has_items(const PickleValue *value) {
  switch ((PickleKind)value->kind) {
    case PICKLE_TUPLE:
    case PICKLE_LIST:
    case PICKLE_DICT:
    case PICKLE_CALL:
    case PICKLE_MAPPING:
    case PICKLE_PERSISTENT: return true;
    default: return false;
  }
}

/* `items` may be NULL where count is 0: the stack before its first push. Exactly as much room is
 * made at first, since most values get all their items at once. */
static xt_status append(Machine *m, uint32_t to, const uint32_t *items, size_t count) {
  PickleValue *value = value_at(m, to);
  if (count == 0) return XT_STATUS_OK;
  if (value->count + count > value->capacity) {
    const size_t need = value->count + count, capacity = value->count ? need + need / 2 : need;
    if (capacity > UINT32_MAX) return PICKLE_ERROR(m, "the pickle holds too many values");
    uint32_t *grown = realloc(value->items, capacity * sizeof *grown);
    if (!grown) return err_memory(m->error, capacity * sizeof *grown);
    value->items = grown;
    value->capacity = (uint32_t)capacity;
  }
  memcpy(value->items + value->count, items, count * sizeof *items);
  value->count += (uint32_t)count;
  return XT_STATUS_OK;
}

/* The `count` values that end at the stack's top. */
static const uint32_t *top_values(const Machine *m, size_t count) {
  return count ? m->stack + m->depth - count : NULL;
}

static xt_status cut_short(Machine *m) { return PICKLE_ERROR(m, "the pickle is cut short"); }

/* ---- numbers, texts, globals ----------------------------------------------------------------- */

static xt_status push_text(Machine *m, PickleKind kind, uint64_t length) {
  if (length > m->source->size) return cut_short(m);
  const uint8_t *text = cursor_take(&m->cursor, (size_t)length);
  if (!text) return cut_short(m);
  uint32_t index = 0;
  TRY(make(m, kind, &index));
  value_at(m, index)->text = (const char *)text;
  value_at(m, index)->length = (uint32_t)length;
  return push(m, index);
}

/* Little-endian two's complement of `length` bytes. */
static xt_status push_long(Machine *m, uint64_t length) {
  if (length > 8)
    return PICKLE_ERROR(m, "an integer of %llu bytes; at most 8 are handled",
                        (unsigned long long)length);
  uint64_t bits = cursor_uint(&m->cursor, (size_t)length);
  if (length && length < 8 && bits >> (8 * length - 1)) bits |= UINT64_MAX << (8 * length);
  return push_new(m, PICKLE_INT, (int64_t)bits);
}

static xt_status read_line(Machine *m, const char **out, size_t *length) {
  const uint8_t *begin = m->cursor.data + m->cursor.at;
  const uint8_t *end = memchr(begin, '\n', m->cursor.size - m->cursor.at);
  if (!end) return cut_short(m);
  *out = (const char *)begin;
  *length = (size_t)(end - begin);
  cursor_take(&m->cursor, *length + 1);
  return XT_STATUS_OK;
}

static int shown(size_t length) { return length < 100 ? (int)length : 100; }

static xt_status push_global(Machine *m, const char *module, size_t module_length, const char *name,
                             size_t name_length) {
  if (!m->source->allowed(module, module_length, name, name_length))
    return PICKLE_ERROR(
        m, "refused: %.*s.%.*s at byte %zu of the pickle: a checkpoint may only build tensors",
        shown(module_length), module, shown(name_length), name, m->at);
  uint32_t index = 0;
  TRY(make(m, PICKLE_GLOBAL, &index));
  PickleValue *value = value_at(m, index);
  value->text = module;
  value->length = (uint32_t)module_length;
  value->name = name;
  value->name_length = (uint32_t)name_length;
  return push(m, index);
}

static xt_status op_global(Machine *m) {
  const char *module = NULL, *name = NULL;
  size_t module_length = 0, name_length = 0;
  TRY(read_line(m, &module, &module_length));
  TRY(read_line(m, &name, &name_length));
  return push_global(m, module, module_length, name, name_length);
}

static xt_status op_stack_global(Machine *m) {
  uint32_t name = 0, module = 0;
  TRY(pop(m, &name));
  TRY(pop(m, &module));
  const PickleValue *n = value_at(m, name), *o = value_at(m, module);
  if (n->kind != PICKLE_TEXT || o->kind != PICKLE_TEXT)
    return PICKLE_ERROR(m, "a global is not named by two texts");
  return push_global(m, o->text, o->length, n->text, n->length);
}

/* ---- containers ------------------------------------------------------------------------------ */

static xt_status op_tuple(Machine *m, size_t count) {
  if (m->depth - floor_of(m) < count)
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  uint32_t index = 0;
  TRY(make(m, PICKLE_TUPLE, &index));
  TRY(append(m, index, top_values(m, count), count));
  m->depth -= count;
  return push(m, index);
}

/* Pops to the last MARK: *count values remain readable above the top of the stack. */
static xt_status pop_mark(Machine *m, size_t *count) {
  if (m->mark_count == 0) return PICKLE_ERROR(m, "the pickle closes a MARK it did not open");
  const size_t from = m->marks[--m->mark_count];
  *count = m->depth - from;
  m->depth = from;
  return XT_STATUS_OK;
}

static const uint32_t *popped(const Machine *m, size_t count) {
  return count ? m->stack + m->depth : NULL;
}

static xt_status from_mark(Machine *m, PickleKind kind) {
  size_t count = 0;
  uint32_t index = 0;
  TRY(pop_mark(m, &count));
  if (kind == PICKLE_DICT && count % 2) return PICKLE_ERROR(m, "a dict has a key without a value");
  TRY(make(m, kind, &index));
  TRY(append(m, index, popped(m, count), count));
  return push(m, index);
}

/* Adds the `count` values above the top of the stack to the container that is the top. */
static xt_status extend(Machine *m, size_t count, bool pairs) {
  if (m->depth <= floor_of(m))
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  const uint32_t to = m->stack[m->depth - 1];
  const PickleKind kind = (PickleKind)value_at(m, to)->kind;
  if (pairs ? kind != PICKLE_DICT && kind != PICKLE_MAPPING : kind != PICKLE_LIST)
    return PICKLE_ERROR(m, "items are added to %s", pickle_kind_name(kind));
  if (pairs && count % 2) return PICKLE_ERROR(m, "a dict has a key without a value");
  return append(m, to, popped(m, count), count);
}

static xt_status op_append(Machine *m, size_t count, bool pairs) {
  if (m->depth - floor_of(m) < count)
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  m->depth -= count;
  return extend(m, count, pairs);
}

static xt_status op_appends(Machine *m, bool pairs) {
  size_t count = 0;
  TRY(pop_mark(m, &count));
  return extend(m, count, pairs);
}

/* REDUCE and NEWOBJ: nothing is called, the call is recorded. An OrderedDict is a dict. */
static xt_status op_call(Machine *m) {
  uint32_t pair[2] = {0}, index = 0;
  TRY(pop(m, &pair[1]));
  TRY(pop(m, &pair[0]));
  const PickleValue *function = value_at(m, pair[0]), *arguments = value_at(m, pair[1]);
  if (function->kind != PICKLE_GLOBAL || arguments->kind != PICKLE_TUPLE)
    return PICKLE_ERROR(m, "the pickle calls %s with %s",
                        pickle_kind_name((PickleKind)function->kind),
                        pickle_kind_name((PickleKind)arguments->kind));
  const bool mapping = pickle_is_global(function, "collections", "OrderedDict");
  if (mapping && arguments->count)
    return PICKLE_ERROR(m, "an OrderedDict is made with arguments; expected none");
  TRY(make(m, mapping ? PICKLE_MAPPING : PICKLE_CALL, &index));
  if (!mapping) TRY(append(m, index, pair, 2));
  return push(m, index);
}

/* The attributes of an OrderedDict (`_metadata` of a state_dict) are of no use here. */
static xt_status op_build(Machine *m) {
  uint32_t state = 0;
  TRY(pop(m, &state));
  if (m->depth <= floor_of(m))
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  const PickleKind kind = (PickleKind)value_at(m, m->stack[m->depth - 1])->kind;
  if (kind != PICKLE_MAPPING || value_at(m, state)->kind != PICKLE_DICT)
    return PICKLE_ERROR(m, "refused: attributes set on %s; a checkpoint may only build tensors",
                        pickle_kind_name(kind));
  return XT_STATUS_OK;
}

static xt_status op_persistent(Machine *m) {
  uint32_t id = 0, index = 0;
  TRY(pop(m, &id));
  TRY(make(m, PICKLE_PERSISTENT, &index));
  TRY(append(m, index, &id, 1));
  return push(m, index);
}

/* ---- memo and marks -------------------------------------------------------------------------- */

static xt_status op_put(Machine *m, uint64_t slot) {
  if (m->depth <= floor_of(m))
    return PICKLE_ERROR(m, "the pickle takes a value from an empty stack");
  /* A pickler numbers its slots from 0, and each takes a byte at least. */
  if (slot >= m->source->size)
    return PICKLE_ERROR(m, "memo slot %llu is absurd", (unsigned long long)slot);
  TRY(MEM_GROW(&m->memo, &m->memo_capacity, (size_t)slot + 1, m->error));
  while (m->memo_count <= slot) m->memo[m->memo_count++] = NO_VALUE;
  m->memo[slot] = m->stack[m->depth - 1];
  m->memo_next++;
  return XT_STATUS_OK;
}

static xt_status op_get(Machine *m, uint64_t slot) {
  if (slot >= m->memo_count || m->memo[slot] == NO_VALUE)
    return PICKLE_ERROR(m, "memo slot %llu is read before anything was put there",
                        (unsigned long long)slot);
  return push(m, m->memo[slot]);
}

static xt_status op_mark(Machine *m) {
  TRY(MEM_GROW(&m->marks, &m->mark_capacity, m->mark_count + 1, m->error));
  m->marks[m->mark_count++] = m->depth;
  return XT_STATUS_OK;
}

static xt_status op_stop(Machine *m) {
  TRY(pop(m, &m->pickle->root));
  if (m->depth || m->mark_count)
    return PICKLE_ERROR(m, "the pickle stops with %zu values left over", m->depth);
  m->stopped = true;
  return XT_STATUS_OK;
}

static xt_status op_proto(Machine *m) {
  const uint8_t protocol = cursor_u8(&m->cursor);
  if (protocol > 5) return PICKLE_ERROR(m, "pickle protocol %u; 2 to 5 are known", protocol);
  return XT_STATUS_OK;
}

static xt_status op_dup(Machine *m) {
  uint32_t index = 0;
  TRY(pop(m, &index));
  TRY(push(m, index));
  return push(m, index);
}

/* ---- the machine ----------------------------------------------------------------------------- */

static xt_status refuse_opcode(Machine *m, uint8_t op) {
  return PICKLE_ERROR(
      m, "refused: pickle opcode 0x%02x, which torch.save does not write for tensors", op);
}

static xt_status step_value(Machine *m, uint8_t op) {
  Cursor *c = &m->cursor;
  switch (op) {
    case 'N': return push_new(m, PICKLE_NONE, 0);
    case 0x88: return push_new(m, PICKLE_BOOL, 1);
    case 0x89: return push_new(m, PICKLE_BOOL, 0);
    case 'J': return push_new(m, PICKLE_INT, (int32_t)cursor_u32(c));
    case 'K': return push_new(m, PICKLE_INT, cursor_u8(c));
    case 'M': return push_new(m, PICKLE_INT, cursor_u16(c));
    case 0x8a: return push_long(m, cursor_u8(c));
    case 0x8b: return push_long(m, cursor_u32(c));
    /* its value is of no use here */
    case 'G': cursor_take(c, 8); return push_new(m, PICKLE_REAL, 0);
    case 'U': return push_text(m, PICKLE_TEXT, cursor_u8(c));
    case 'T': return push_text(m, PICKLE_TEXT, cursor_u32(c));
    case 'X': return push_text(m, PICKLE_TEXT, cursor_u32(c));
    case 0x8c: return push_text(m, PICKLE_TEXT, cursor_u8(c));
    case 0x8d: return push_text(m, PICKLE_TEXT, cursor_u64(c));
    case 'C': return push_text(m, PICKLE_BYTES, cursor_u8(c));
    case 'B': return push_text(m, PICKLE_BYTES, cursor_u32(c));
    case 0x8e: return push_text(m, PICKLE_BYTES, cursor_u64(c));
    case 'c': return op_global(m);
    case 0x93: return op_stack_global(m);
    default: return refuse_opcode(m, op);
  }
}

static xt_status step(Machine *m, uint8_t op) {
  Cursor *c = &m->cursor;
  uint32_t ignored = 0;
  size_t count = 0;
  switch (op) {
    case 0x80: return op_proto(m);
    case 0x95: cursor_take(c, 8); return XT_STATUS_OK; /* FRAME only helps buffering */
    case '.': return op_stop(m);
    case '(': return op_mark(m);
    case '0': return pop(m, &ignored);
    case '1': return pop_mark(m, &count);
    case '2': return op_dup(m);
    case ')': return op_tuple(m, 0);
    case 0x85: return op_tuple(m, 1);
    case 0x86: return op_tuple(m, 2);
    case 0x87: return op_tuple(m, 3);
    case 't': return from_mark(m, PICKLE_TUPLE);
    case ']': return push_new(m, PICKLE_LIST, 0);
    case 'l': return from_mark(m, PICKLE_LIST);
    case 'a': return op_append(m, 1, false);
    case 'e': return op_appends(m, false);
    case '}': return push_new(m, PICKLE_DICT, 0);
    case 'd': return from_mark(m, PICKLE_DICT);
    case 's': return op_append(m, 2, true);
    case 'u': return op_appends(m, true);
    case 'q': return op_put(m, cursor_u8(c));
    case 'r': return op_put(m, cursor_u32(c));
    case 0x94: return op_put(m, m->memo_next);
    case 'h': return op_get(m, cursor_u8(c));
    case 'j': return op_get(m, cursor_u32(c));
    case 'R':
    case 0x81: return op_call(m);
    case 'b': return op_build(m);
    case 'Q': return op_persistent(m);
    default: return step_value(m, op);
  }
}

static xt_status run(Machine *m) {
  while (!m->stopped) {
    m->at = m->cursor.at;
    const uint8_t op = cursor_u8(&m->cursor);
    if (m->cursor.failed) return PICKLE_ERROR(m, "the pickle ends without STOP");
    const xt_status status = step(m, op);
    if (m->cursor.failed)
      return cut_short(m); /* an operand was missing, whatever the step made
                                                  of it */
    TRY(status);
  }
  if (m->cursor.at != m->cursor.size) {
    m->at = m->cursor.at;
    return PICKLE_ERROR(m, "%zu bytes follow the end of the pickle", m->cursor.size - m->cursor.at);
  }
  return XT_STATUS_OK;
}

xt_status pickle_read(const PickleSource *source, Pickle *out, xt_error *error) {
  *out = (Pickle){0};
  if (source->size > PICKLE_MOST)
    return err_set(error, XT_STATUS_INPUT, source->file, NULL, source->base,
                   "the pickle has %zu bytes; at most %zu are read", source->size, PICKLE_MOST);
  Machine m = {.source = source,
               .error = error,
               .cursor = cursor_make(source->data, source->size),
               .pickle = out};
  const xt_status status = run(&m);
  free(m.stack);
  free(m.marks);
  free(m.memo);
  if (status) pickle_free(out);
  return status;
}

void pickle_free(Pickle *pickle) {
  for (size_t i = 0; i < pickle->count; i++)
    if (has_items(&pickle->values[i])) free(pickle->values[i].items);
  free(pickle->values);
  *pickle = (Pickle){0};
}

static bool same(const char *text, size_t length, const char *expected) {
  return strlen(expected) == length && memcmp(text, expected, length) == 0;
}

bool pickle_is_text(const PickleValue *value, const char *expected) {
  return value->kind == PICKLE_TEXT && same(value->text, value->length, expected);
}

bool pickle_is_global(const PickleValue *value, const char *module, const char *name) {
  return value->kind == PICKLE_GLOBAL && same(value->text, value->length, module) &&
         same(value->name, value->name_length, name);
}

const char *pickle_kind_name(PickleKind kind) {
  switch (kind) {
    case PICKLE_NONE: return "None";
    case PICKLE_BOOL: return "a bool";
    case PICKLE_INT: return "an int";
    case PICKLE_REAL: return "a float";
    case PICKLE_TEXT: return "a str";
    case PICKLE_BYTES: return "bytes";
    case PICKLE_TUPLE: return "a tuple";
    case PICKLE_LIST: return "a list";
    case PICKLE_DICT: return "a dict";
    case PICKLE_GLOBAL: return "a global";
    case PICKLE_CALL: return "a call's result";
    case PICKLE_MAPPING: return "an OrderedDict";
    case PICKLE_PERSISTENT: return "a storage";
  }
  return "unknown";
}
