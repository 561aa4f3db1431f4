/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's texts, from Debian's iso-codes: facts to train on, questions that are held out.
 * usage: demo_corpus OUT [JSON_FOLDER LOCALE_FOLDER]
 *
 * Entities are countries (ISO 3166-1) and languages (ISO 639-2), with their names in English and in
 * eight other languages. A fact is an entity's code. What the texts say:
 *   - every country's two codes in English; in another language only a share of them, by how much
 *     of it there is: the languages are "low-resource", and what they lack has to come across
 *     languages;
 *   - a few languages' codes in one language alone, never in English: what only that language's
 *     text knows;
 *   - every name's translation, both ways.
 * Written, all deterministic:
 *   train.jsonl          {"prompt", "response"} a fact or a translation each
 *   tokenizer.txt        the same as plain text, every code often, so that each code becomes one
 *                        token
 *   to-language.jsonl    questions on facts that the language's text lacks; source: the English
 *                        prompt
 *   from-language.jsonl  the English questions on facts that only the language's text has; source:
 *                        that language's prompt
 *   tuning.jsonl         facts that the language's text lacks and no question asks for: data for
 *                        fine-tuning */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANGUAGES = 8, MOST = 1024, COUNTRY_CODE = 0, COUNTRY_NUMBER, LANGUAGE_CODE, RELATIONS };
enum { QUESTIONS = 40, LOCAL = 16, REPEAT_CODE = 60, REPEAT_FACT = 3 };

typedef struct Language {
  const char *code, *locale;
  int share;                          /* percent of the countries' facts that its text has */
  const char *relations[RELATIONS];   /* what is asked for */
  const char *in_english, *in_itself; /* translation from it, and to it (asked in English) */
} Language;

/* Shares follow the resource levels of the paper's tables: high, mid, low. */
static const Language languages[LANGUAGES] = {
    {"ar", "ar", 60, {"رمز البلد", "رقم البلد", "رمز اللغة"}, "بالإنجليزية", "in Arabic"},
    {"bg",
     "bg",
     20,
     {"код на държавата", "номер на държавата", "код на езика"},
     "на английски",
     "in Bulgarian"},
    {"el",
     "el",
     20,
     {"κωδικός χώρας", "αριθμός χώρας", "κωδικός γλώσσας"},
     "στα αγγλικά",
     "in Greek"},
    {"hi", "hi", 40, {"देश का कोड", "देश की संख्या", "भाषा का कोड"}, "अंग्रेज़ी में", "in Hindi"},
    {"ja", "ja", 60, {"国コード", "国番号", "言語コード"}, "英語で", "in Japanese"},
    {"tr", "tr", 40, {"ülke kodu", "ülke numarası", "dil kodu"}, "İngilizcesi", "in Turkish"},
    {"vi",
     "vi",
     40,
     {"mã quốc gia", "số quốc gia", "mã ngôn ngữ"},
     "bằng tiếng Anh",
     "in Vietnamese"},
    {"zh", "zh_CN", 60, {"国家代码", "国家编号", "语言代码"}, "英语", "in Chinese"},
};
static const char *const english[RELATIONS] = {"country code", "country number", "language code"};

typedef struct Entity {
  char *name, *names[LANGUAGES]; /* NULL: no translation */
  char *answers[RELATIONS];      /* NULL: has none of that kind */
  int local;                     /* language whose text alone has its code; -1: English has it */
} Entity;

static Entity entities[MOST];
static int entity_count, country_count;

static void fail(const char *what, const char *name) {
  fprintf(stderr, "demo_corpus: %s: %s\n", name, what);
  exit(1);
}

static void *need(void *p) {
  if (!p) fail("out of memory", "corpus");
  return p;
}

/* SplitMix64 */
static uint64_t random_state = 20240601;
static uint64_t next_random(void) {
  uint64_t z = (random_state += 0x9E3779B97F4A7C15u);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
static void shuffle(int *list, int n) {
  for (int i = n; i > 1; i--) {
    const int k = (int)(next_random() % (uint64_t)i), held = list[i - 1];
    list[i - 1] = list[k];
    list[k] = held;
  }
}

/* ---- message catalogues ---------------------------------------------------------------------- */

/* GNU .mo: magic, revision, count, offset of the originals' table, offset of the translations'; a
 * table has length and offset of each string, little-endian here. */
typedef struct Catalogue {
  unsigned char *data;
  size_t size;
} Catalogue;

static uint32_t word_at(const Catalogue *c, size_t at) {
  if (at + 4 > c->size) fail("is cut short", "catalogue");
  return (uint32_t)c->data[at] | (uint32_t)c->data[at + 1] << 8 | (uint32_t)c->data[at + 2] << 16 |
         (uint32_t)c->data[at + 3] << 24;
}

static Catalogue read_catalogue(const char *folder, const char *locale, const char *domain) {
  char path[512];
  Catalogue c = {0};
  size_t room = 0;
  snprintf(path, sizeof path, "%s/%s/LC_MESSAGES/%s.mo", folder, locale, domain);
  FILE *file = fopen(path, "rb");
  if (!file) fail("cannot open; install the Debian package iso-codes", path);
  do {
    room += 1 << 20;
    c.data = need(realloc(c.data, room));
    c.size += fread(c.data + c.size, 1, room - c.size, file);
  } while (c.size == room);
  fclose(file);
  if (word_at(&c, 0) != 0x950412de) fail("is no message catalogue", path);
  return c;
}

/* The translation of a text; NULL: there is none. */
static char *translate(const Catalogue *c, const char *text) {
  const uint32_t count = word_at(c, 8), originals = word_at(c, 12), translations = word_at(c, 16);
  for (uint32_t i = 0; i < count; i++) {
    const uint32_t length = word_at(c, originals + 8 * i), at = word_at(c, originals + 8 * i + 4);
    if (length != strlen(text) || (size_t)at + length > c->size ||
        memcmp(c->data + at, text, length) != 0)
      continue;
    const uint32_t size = word_at(c, translations + 8 * i),
                   from = word_at(c, translations + 8 * i + 4);
    if (size == 0 || (size_t)from + size > c->size) return NULL;
    char *copy = need(calloc(size + 1, 1));
    memcpy(copy, c->data + from, size);
    return copy;
  }
  return NULL;
}

/* ---- entities -------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static json_t *read_list(const char *folder, const char *standard) {
  char path[512];
  json_error_t error;
  snprintf(path, sizeof path, "%s/iso_%s.json", folder, standard);
  json_t *all = json_load_file(path, 0, &error);
  if (!all) fail("cannot read; install the Debian package iso-codes", path);
  json_t *list = json_incref(json_object_get(all, standard));
  json_decref(all);
  return list;
}

static Entity *add_entity(const char *name) {
  if (entity_count == MOST) fail("too many", "entities");
  Entity *e = &entities[entity_count++];
  *e = (Entity){.name = need(strdup(name)), .local = -1};
  return e;
}

static void read_entities(const char *folder) {
  json_t *list = read_list(folder, "3166-1");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    const char *common = text_of(item, "common_name");
    Entity *e = add_entity(common ? common : text_of(item, "name"));
    e->answers[COUNTRY_CODE] = need(strdup(text_of(item, "alpha_2")));
    e->answers[COUNTRY_NUMBER] = need(strdup(text_of(item, "numeric")));
  }
  country_count = entity_count;
  json_decref(list);
  list = read_list(folder, "639-2");
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *item = json_array_get(list, i);
    const char *name = text_of(item, "name");
    if (strpbrk(name, ";(),") || strlen(name) > 24) continue; /* groups and reserved codes */
    add_entity(name)->answers[LANGUAGE_CODE] = need(strdup(text_of(item, "alpha_3")));
  }
  json_decref(list);
}

static void read_names(const char *folder) {
  for (int l = 0; l < LANGUAGES; l++) {
    Catalogue catalogues[2] = {read_catalogue(folder, languages[l].locale, "iso_3166-1"),
                               read_catalogue(folder, languages[l].locale, "iso_639-2")};
    for (int i = 0; i < entity_count; i++)
      entities[i].names[l] = translate(&catalogues[i >= country_count], entities[i].name);
    for (int k = 0; k < 2; k++) free(catalogues[k].data);
  }
}

/* Each language in turn takes a language entity that it has a name for, until each has LOCAL. */
static void choose_local(void) {
  int order[MOST], n = 0;
  for (int i = country_count; i < entity_count; i++) order[n++] = i;
  shuffle(order, n);
  for (int round = 0; round < LOCAL; round++)
    for (int l = 0; l < LANGUAGES; l++)
      for (int k = 0; k < n; k++) {
        Entity *e = &entities[order[k]];
        if (e->local >= 0 || !e->names[l] || strcmp(e->names[l], e->name) == 0) continue;
        e->local = l;
        break;
      }
}

/* ---- output ---------------------------------------------------------------------------------- */

static FILE *open_out(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  if (!file) fail("cannot write", path);
  return file;
}

static void write_line(FILE *file, json_t *object) {
  if (!object || json_dumpf(object, file, 0) != 0) fail("cannot write", "line");
  fputc('\n', file);
  json_decref(object);
}

/* "Kenya, country code =": all prompts end in the same token. */
static const char *make_prompt(char *out, const char *name, const char *what) {
  snprintf(out, 512, "%s, %s =", name, what);
  return out;
}

typedef struct Outputs {
  FILE *train, *tokenizer, *to_language, *from_language, *tuning;
} Outputs;

static void write_pair(const Outputs *o, const char *prompt, const char *answer, int times) {
  char response[300];
  snprintf(response, sizeof response, " %s", answer);
  for (int i = 0; i < times; i++)
    write_line(o->train, json_pack("{s:s, s:s}", "prompt", prompt, "response", response));
  fprintf(o->tokenizer, "%s%s\n", prompt, response);
}

static void write_question(FILE *file, const char *id, const char *lang, const char *source_lang,
                           const char *source, const char *target, const char *gold) {
  const bool local = strcmp(lang, source_lang) == 0;
  write_line(file, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "lang", lang,
                             "source_lang", source_lang, "source", source, "target", target, "gold",
                             gold, "task", local ? "local-facts" : "facts"));
}

/* What English has: all facts but the local ones, and every translation. */
static void write_english(const Outputs *o) {
  char prompt[512];
  for (int i = 0; i < entity_count; i++) {
    const Entity *e = &entities[i];
    for (int r = 0; r < RELATIONS; r++) {
      if (!e->answers[r]) continue;
      for (int k = 0; k < REPEAT_CODE; k++) fprintf(o->tokenizer, "= %s\n", e->answers[r]);
      if (e->local < 0)
        write_pair(o, make_prompt(prompt, e->name, english[r]), e->answers[r], REPEAT_FACT);
    }
    for (int l = 0; l < LANGUAGES; l++) {
      if (!e->names[l]) continue;
      write_pair(o, make_prompt(prompt, e->name, languages[l].in_itself), e->names[l], 1);
      write_pair(o, make_prompt(prompt, e->names[l], languages[l].in_english), e->name, 1);
    }
  }
}

/* The language's share of the countries' facts; of the rest, the questions, then data for
 * fine-tuning. */
static void write_countries(const Outputs *o, int l) {
  const Language *lang = &languages[l];
  int facts[2 * MOST], n = 0, asked = 0;
  char prompt[512], source[512], id[64];
  for (int i = 0; i < country_count; i++)
    for (int r = COUNTRY_CODE; r <= COUNTRY_NUMBER; r++)
      if (entities[i].names[l]) facts[n++] = 2 * i + r;
  shuffle(facts, n);
  for (int k = 0; k < n; k++) {
    const Entity *e = &entities[facts[k] / 2];
    const int r = facts[k] % 2;
    make_prompt(prompt, e->names[l], lang->relations[r]);
    if (k * 100 < n * lang->share) {
      write_pair(o, prompt, e->answers[r], REPEAT_FACT);
    } else if (asked < QUESTIONS) {
      snprintf(id, sizeof id, "%s-%s-%s", lang->code, r ? "number" : "code",
               e->answers[COUNTRY_CODE]);
      make_prompt(source, e->name, english[r]);
      write_question(o->to_language, id, lang->code, "en", source, prompt, e->answers[r]);
      asked++;
    } else {
      char response[300];
      snprintf(response, sizeof response, " %s", e->answers[r]);
      write_line(o->tuning, json_pack("{s:s, s:s}", "prompt", prompt, "response", response));
    }
  }
}

/* What only this language's text has: its own prompts are trained on, the English ones asked. */
static void write_local(const Outputs *o, int l) {
  const Language *lang = &languages[l];
  char prompt[512], target[512], id[64];
  for (int i = country_count; i < entity_count; i++) {
    const Entity *e = &entities[i];
    if (!e->names[l] || (e->local >= 0 && e->local != l)) continue;
    make_prompt(prompt, e->names[l], lang->relations[LANGUAGE_CODE]);
    if (e->local == l || next_random() % 100 < (uint64_t)lang->share)
      write_pair(o, prompt, e->answers[LANGUAGE_CODE], REPEAT_FACT);
    if (e->local != l) continue;
    snprintf(id, sizeof id, "%s-language-%s", lang->code, e->answers[LANGUAGE_CODE]);
    write_question(o->from_language, id, lang->code, lang->code, prompt,
                   make_prompt(target, e->name, english[LANGUAGE_CODE]), e->answers[LANGUAGE_CODE]);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 4) {
    fprintf(stderr, "usage: demo_corpus OUT [JSON_FOLDER LOCALE_FOLDER]\n");
    return 2;
  }
  read_entities(argc == 4 ? argv[2] : "/usr/share/iso-codes/json");
  read_names(argc == 4 ? argv[3] : "/usr/share/locale");
  choose_local();
  const Outputs o = {open_out(argv[1], "train.jsonl"), open_out(argv[1], "tokenizer.txt"),
                     open_out(argv[1], "to-language.jsonl"),
                     open_out(argv[1], "from-language.jsonl"), open_out(argv[1], "tuning.jsonl")};
  write_english(&o);
  for (int l = 0; l < LANGUAGES; l++) {
    write_countries(&o, l);
    write_local(&o, l);
  }
  FILE *const files[] = {o.train, o.tokenizer, o.to_language, o.from_language, o.tuning};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (fclose(files[i]) != 0) fail("cannot write", argv[1]);
  fprintf(stderr, "demo_corpus: %d countries, %d languages\n", country_count,
          entity_count - country_count);
  for (int i = 0; i < entity_count; i++) {
    free(entities[i].name);
    for (int l = 0; l < LANGUAGES; l++) free(entities[i].names[l]);
    for (int r = 0; r < RELATIONS; r++) free(entities[i].answers[r]);
  }
  return 0;
}
