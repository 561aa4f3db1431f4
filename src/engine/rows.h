/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a batch: the same table for generation, scoring, capture and the sweep.
 *
 * At each step a caller fills the table (rows_begin, rows_place for each row, rows_edit), uploads
 * it (rows_upload: one transfer), runs layers on ranges of it (rows_batch), chooses tokens
 * (rows_choose) and reads the choices (rows_read: one transfer, and the only wait). Columns are
 * plain host arrays between rows_begin and rows_upload, and IndexLists for ops afterwards. */
#ifndef ENGINE_ROWS_H
#define ENGINE_ROWS_H

#include "engine/references.h"
#include "engine/rules.h"

typedef enum RowColumn {
  ROW_TOKEN = 0,  /* the row's newest token */
  ROW_POSITION,   /* its absolute position */
  ROW_PREFIX_END, /* prefix positions that the row sees */
  ROW_SLOT,       /* of the newest token's key and value */
  ROW_TAIL_END,   /* private positions that it sees */
  ROW_LIST,       /* its list of the repetition penalty */
  ROW_WANTED,     /* the token whose log-probability is asked for */
  ROW_FROM,
  ROW_TO,
  ROW_ADD, /* lists of copies, for the caller */
  ROW_PREFIX_BEGIN,
  ROW_TAIL_BEGIN, /* for sliding windows: set by rows_upload */
  ROW_COLUMNS
} RowColumn;

typedef struct PlacedEdit {
  int place; /* layer * EDIT_TAPS + tap */
  MixEdit edit;
} PlacedEdit;

/* What the model's generation settings forbid. */
typedef struct RowRules {
  RowText *texts;   /* [rows] of the step; NULL: there are no such settings */
  Allowed *allowed; /* [rows] what rows_choose has found */
  int32_t *banned;  /* ids of one row */
  int32_t *places;  /* [RULES_PLACES] of logits that become impossible, on their way to the
                       device */
  Dev places_dev, impossible; /* [RULES_PLACES] both */
} RowRules;

/* The comparison of rows with references. */
typedef struct RowComparison {
  const References *references; /* NULL: nothing is compared */
  bool on;                      /* in the step that is laid out */
  int rows, asked;              /* of a step; ids of a row; at most */
  int32_t *lists;               /* [rows][asked] ids, then [rows][BACKEND_COMPARED] references */
  Dev lists_dev, out_dev;
  float *out; /* [rows][compare_width] what was read */
} RowComparison;

#define RULES_PLACES 16384
#define RULES_IMPOSSIBLE \
  (-1e30f) /* far from all logits, and a number still when it is weighed or penalised */

typedef struct RowTable {
  xt_session *session;
  int most; /* rows at most */
  size_t most_ints, most_edits;
  KvTail *tail;  /* the rows' private keys and values; NULL: they have none */
  SeenIds *seen; /* NULL: no repetition penalty */
  float penalty;
  RowRules rules;
  RowComparison comparison;
  /* the step that is laid out */
  int rows, tail_ld;            /* tail_ld: the largest number of private positions of a row */
  int32_t *column[ROW_COLUMNS]; /* [rows] each */
  int32_t *tail_slots;          /* [rows, tail_ld] */
  const KvPrefix **prefix;      /* [rows] NULL: none */
  size_t ints;                  /* of everything */
  PlacedEdit *edits;            /* in the order in which they came */
  size_t edit_count;
  EditValues edit_values; /* for the caller to set */
  int32_t *edit_start;    /* [layers * EDIT_TAPS + 1] */
  Choice *chosen;         /* [choices] what was read */
  /* storage */
  int32_t *host;
  Dev device, chosen_dev;
  AttendSpan *spans;
} RowTable;

/* The capacity of a table. */
typedef struct RowTableSize {
  int rows, tail; /* rows of a step; private positions of a row */
  int slots;      /* of private keys and values, in every layer; 0: no tail */
  size_t edits;   /* of a step */
  size_t choices; /* that are read at once */
} RowTableSize;

/* *t is zero before. The caller calls rows_release even after an error. */
xt_status rows_create(RowTable *t, xt_session *session, const RowTableSize *size, xt_error *error);
void rows_release(RowTable *t);

/* Prepares the repetition penalty: a list of ids for each of `lists` rows, which has the ids of the
 * row's prompt and room for `capacity` more. A penalty of 1 makes no lists. */
typedef struct RowPrompt {
  const int32_t *ids;
  size_t count;
} RowPrompt;
xt_status rows_penalize(RowTable *t, float penalty, const RowPrompt *prompts, int prompt_count,
                        const int32_t *prompt_of_list, int lists, int capacity, xt_error *error);

/* The model's generation settings hold, for texts of at most `longest` tokens; rows_text then says
 * each row's. */
xt_status rows_restrict(RowTable *t, size_t longest, xt_error *error);
static inline void rows_text(RowTable *t, int row, const RowText *text) {
  if (t->rules.texts) t->rules.texts[row] = *text;
}
static inline bool rows_forced(const RowTable *t, int row) {
  return t->rules.texts && t->rules.allowed[row].forced;
}

/* Rows of a step, at most `rows`, can be compared with the references; at most `asked` ids of each
 * are asked about. */
xt_status rows_compare(RowTable *t, const References *references, int rows, int asked,
                       xt_error *error);
uint64_t rows_compare_bytes(const xt_model *model, uint64_t rows, uint64_t asked);

void rows_begin(RowTable *t, int rows, int tail_ld);
/* Row `row` has a prefix of `inner` positions and is at private position `step`, whose key and
 * value go to `slot`; the caller sets its slots before that one. */
void rows_place(RowTable *t, int row, const KvPrefix *prefix, int inner, int step, int32_t token,
                int32_t slot);
static inline int32_t *rows_slots(const RowTable *t, int row) {
  return t->tail_slots + (size_t)row * (size_t)t->tail_ld;
}
/* `value` is a row of t->edit_values, as the tap has them. */
void rows_edit(RowTable *t, int row, const xt_intervention *iv, int32_t value);
/* The rows of the step are compared; each must have its question. */
void rows_ask(RowTable *t, int row, const RowQuestion *question);
void rows_upload(RowTable *t);

/* The batch of rows [first, first + count), which are the same rows of the residual stream.
 * Valid until the next call, because its spans are in the table. */
Batch rows_batch(RowTable *t, int first, int count);
IndexList rows_column(const RowTable *t, RowColumn column, int first);

/* The values of `count` interventions on the device, whose numbers are then those of rows_edit.
 * Released with edit_values_release, after an error too. */
xt_status edit_values_create(xt_session *session, size_t count, bool heads, EditValues *out,
                             xt_error *error);
void edit_values_set(xt_session *session, EditValues *values, size_t at, const xt_intervention *iv);
void edit_values_release(xt_session *session, EditValues *values);
/* Whether some intervention of a request is of heads. */
bool request_has_heads(const xt_intervention *interventions, size_t count);

/* Chooses from the logits of rows [first, first + count) of the table, whose layers' output is `x`
 * [count, C], into choices [at, at + count); count is at most the backend's logit_rows. With
 * `plain`, without the penalty and the settings. Returns the logits. */
Dev rows_choose_piece(RowTable *t, Dev x, int first, int count, size_t at, bool plain);
/* The same for any number of rows of the residual stream; row r's choice is choice r. */
void rows_choose(RowTable *t, int first, int count);
/* Asks about one more id of a row whose logits rows_choose_piece has returned: choice `at`, of which
 * the other numbers are those of the row. Without a penalty and settings alone. */
void rows_choose_again(RowTable *t, Dev logits, IndexList wanted, size_t at);
/* Reads choices [first, first + count), and the backend's status. */
xt_status rows_read(RowTable *t, size_t first, size_t count, xt_error *error);
/* The numbers of a row that was read, for the ids that its question asks about: [2 + count]. False:
 * there are none, because settings force its token. */
bool rows_numbers(const RowTable *t, int row, const RowQuestion *question, float *out);

/* Appends a choice to a response whose arrays have room, with or without its further numbers. */
void rows_append(xt_generation *out, const Choice *choice);

#endif
