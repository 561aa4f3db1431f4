/* SPDX-License-Identifier: Apache-2.0 */
#include "tasks/task_table.h"

#include <string.h>

#include "base/err.h"

static const char *const xnli_languages[] = {"ar", "bg", "de", "el", "en", "es", "fr", "hi",
                                             "ru", "sw", "tr", "ur", "vi", "zh", NULL};
static const char *const xquad_languages[] = {"ar", "de", "el", "en", "es", "hi", "ro",
                                              "ru", "th", "tr", "vi", "zh", NULL};
static const char *const opinion_languages[] = {"am", "ar", "de", "el", "en", "es",    "fr",
                                                "hi", "id", "ja", "pt", "ru", "sv",    "sw",
                                                "tl", "tr", "uk", "ur", "vi", "zh-CN", NULL};

static const char *const xcopa_languages[] = {"en", "ht", "id", "it", "sw",
                                              "ta", "tr", "vi", "zh", NULL};
static const char *const mkqa_languages[] = {"ar", "de", "en", "es", "fi", "fr", "he", "hu", "it",
                                             "ja", "ko", "nl", "no", "pt", "tr", "vi", "zh", NULL};
static const char *const bench_languages[] = {"ar", "de", "en", "es", "fr", "he", "hi", "ja", "ko",
                                              "ms", "pl", "ru", "tl", "tr", "vi", "zh", NULL};

static const TaskEntry entries[] = {
    {.task = {"xnli", "XNLI", XT_TASK_CHOICE, XT_DIRECTION_TO_LANGUAGE, "attn", xnli_languages},
     .scoring = SCORING_WORDS,
     .gold = GOLD_ANSWER_FILE,
     .raw = RAW_XNLI,
     .options = 3,
     .option_words = true,
     .file = "%s.json",
     .source_folder = "split",
     .target_folder = "split"},
    {.task = {"xquad", "XQuAD", XT_TASK_GENERATION, XT_DIRECTION_TO_LANGUAGE, "ffn",
              xquad_languages},
     .scoring = SCORING_CONTAINS,
     .gold = GOLD_ANSWER_FILE,
     .raw = RAW_XQUAD,
     .file = "xquad.%s.json",
     .source_folder = "split",
     .target_folder = "split"},
    {.task = {"globalopinionqa", "GlobalOpinionQA", XT_TASK_CHOICE, XT_DIRECTION_FROM_LANGUAGE,
              "ffn", opinion_languages},
     .scoring = SCORING_LETTERS,
     .gold = GOLD_LIKELIEST,
     .raw = RAW_OPINION,
     .file = "%s.json",
     .source_folder = "translated",
     .target_folder = "split",
     .culture_line = "How would someone from {country} answer the following question:\n"},
    {.task = {"xcopa", "XCOPA", XT_TASK_CHOICE, XT_DIRECTION_TO_LANGUAGE, "attn", xcopa_languages},
     .scoring = SCORING_WORDS,
     .gold = GOLD_ANSWER_FILE,
     .raw = RAW_XCOPA,
     .options = 2,
     .file = "%s.json",
     .source_folder = "split",
     .english_folder = "en",
     .target_folder = "split"},
    {.task = {"mkqa", "MKQA", XT_TASK_GENERATION, XT_DIRECTION_TO_LANGUAGE, "ffn", mkqa_languages},
     .scoring = SCORING_CONTAINS,
     .gold = GOLD_ANSWER_FILE,
     .raw = RAW_MKQA,
     .file = "%s.json",
     .source_folder = "split",
     .target_folder = "split"},
    {.task = {"culturalbench", "CulturalBench", XT_TASK_CHOICE, XT_DIRECTION_FROM_LANGUAGE, "ffn",
              bench_languages},
     .scoring = SCORING_LETTERS,
     .gold = GOLD_ANSWER_FILE,
     .raw = RAW_CULTURE,
     .file = "%s.json",
     .source_folder = "translated",
     .target_folder = "split"},
};
#define ENTRY_COUNT (sizeof entries / sizeof *entries)

/* These are not published benchmarks, so that their questions can only be given as pairs: those of
 * the demo, and users' own with short answers. */
static const char *const facts_languages[] = {"ar", "bg", "el", "en", "hi",
                                              "ja", "tr", "vi", "zh", NULL};
static const TaskEntry pair_entries[] = {
    {.task = {"facts", "Facts", XT_TASK_GENERATION, XT_DIRECTION_TO_LANGUAGE, "ffn",
              facts_languages},
     .scoring = SCORING_CONTAINS},
    {.task = {"local-facts", "Local facts", XT_TASK_GENERATION, XT_DIRECTION_FROM_LANGUAGE, "ffn",
              facts_languages},
     .scoring = SCORING_CONTAINS},
};
#define PAIR_COUNT (sizeof pair_entries / sizeof *pair_entries)

/* As XNLI's ans_lang files have them; the French ones do begin with their number. */
static const TaskWords xnli_words[] = {
    {"ar", {"يستلزم", "محايد", "يتناقض"}},
    {"bg", {"Повлича", "Неутрален", "Противоречат"}},
    {"de", {"Nach sich ziehen", "Neutral", "Widersprechen"}},
    {"el", {"Συνεπάγεται", "Ουδέτερο", "Αντίφαση"}},
    {"en", {"Entail", "Neutral", "Contradict"}},
    {"es", {"Implica", "Neutral", "Contradice"}},
    {"fr", {"(1)\u00a0Entraîner", "(2)\u00a0Neutre", "(3)\u00a0Contraire"}},
    {"hi", {"निहित", "तटस्थ", "विरोधाभास"}},
    {"ru", {"Следствие", "Нейтральное", "Противоречие"}},
    {"sw", {"Inajumuisha", "Kuegemea upande wowote", "Kupingana"}},
    {"tr", {"Gerektirir", "Tarafsız", "Çelişkili"}},
    {"ur", {"داخل کرنا", "غیر جانبدار", "تضاد"}},
    {"vi", {"Kéo theo", "Trung lập", "Mâu thuẫn"}},
    {"zh", {"蕴涵", "中立", "矛盾"}},
};

const xt_task *xt_task_get(size_t index) {
  return index < ENTRY_COUNT ? &entries[index].task : NULL;
}

const char *const *xt_task_names(void) {
  static const char *const names[] = {"xnli",          "xquad", "globalopinionqa", "xcopa", "mkqa",
                                      "culturalbench", NULL};
  _Static_assert(sizeof names / sizeof *names == ENTRY_COUNT + 1, "a name for each task");
  return names;
}

static const TaskEntry *find_entry(const char *name) {
  for (size_t i = 0; i < ENTRY_COUNT; i++)
    if (strcmp(entries[i].task.name, name) == 0) return &entries[i];
  for (size_t i = 0; i < PAIR_COUNT; i++)
    if (strcmp(pair_entries[i].task.name, name) == 0) return &pair_entries[i];
  return NULL;
}

const xt_task *xt_task_find(const char *name) {
  const TaskEntry *entry = find_entry(name);
  return entry ? &entry->task : NULL;
}

const TaskEntry *task_entry(const xt_task *task) { return find_entry(task->name); }

xt_status task_check_published(const xt_task *task, xt_error *error) {
  if (find_entry(task->name)->file) return XT_STATUS_OK;
  return err_set(error, XT_STATUS_ARGUMENT, NULL, "task", -1,
                 "%s is not published as a benchmark; its questions are read as pairs", task->name);
}

const TaskWords *task_words(const char *lang) {
  for (size_t i = 0; i < sizeof xnli_words / sizeof *xnli_words; i++)
    if (strcmp(xnli_words[i].lang, lang) == 0) return &xnli_words[i];
  return NULL;
}
