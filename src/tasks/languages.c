/* SPDX-License-Identifier: Apache-2.0 */
/* The languages of all benchmarks, and the countries of each language's questions about
 * cultures. */
#include <string.h>

#include "tasks/task_table.h"

typedef struct Language {
  const char *code;
  xt_level level;
  const char *think; /* what follows a prompt to ask for reasoning, with the space before it */
} Language;

/* Levels as in the paper's tables: the linguisticdiversity taxonomy's class 5 is High, 4 Mid, the
 * rest Low. */
static const Language languages[] = {
    {"am", XT_LEVEL_LOW, " እስኪ ደረጃ በደረጃ እናስብ።"},
    {"ar", XT_LEVEL_HIGH, " لنفكر خطوة بخطوة."},
    {"bg", XT_LEVEL_LOW, " Нека помислим стъпка по стъпка."},
    {"de", XT_LEVEL_HIGH, " Denken wir Schritt für Schritt."},
    {"el", XT_LEVEL_LOW, " Ας σκεφτούμε βήμα προς βήμα."},
    {"en", XT_LEVEL_HIGH, " Let's think step by step."},
    {"es", XT_LEVEL_HIGH, " Pensemos paso a paso."},
    {"fi", XT_LEVEL_LOW, " Ajatellaan askel askeleelta."},
    {"fr", XT_LEVEL_HIGH, " Réfléchissons étape par étape."},
    {"he", XT_LEVEL_LOW, " בואו נחשוב צעד אחר צעד."},
    {"hi", XT_LEVEL_MID, " आइए चरण दर चरण सोचें।"},
    {"ht", XT_LEVEL_LOW, " Ann reflechi etap pa etap."},
    {"hu", XT_LEVEL_LOW, " Gondolkodjunk lépésről lépésre."},
    {"id", XT_LEVEL_LOW, " Mari kita berpikir langkah demi langkah."},
    {"it", XT_LEVEL_MID, " Ragioniamo passo dopo passo."},
    {"ja", XT_LEVEL_HIGH, "一歩ずつ考えてみましょう。"},
    {"ko", XT_LEVEL_MID, " 단계별로 생각해 봅시다."},
    {"ms", XT_LEVEL_LOW, " Mari kita fikirkan langkah demi langkah."},
    {"nl", XT_LEVEL_LOW, " Laten we stap voor stap nadenken."},
    {"no", XT_LEVEL_LOW, " La oss tenke steg for steg."},
    {"pl", XT_LEVEL_LOW, " Pomyślmy krok po kroku."},
    {"pt", XT_LEVEL_MID, " Vamos pensar passo a passo."},
    {"ro", XT_LEVEL_LOW, " Să gândim pas cu pas."},
    {"ru", XT_LEVEL_MID, " Давайте подумаем шаг за шагом."},
    {"sv", XT_LEVEL_MID, " Låt oss tänka steg för steg."},
    {"sw", XT_LEVEL_LOW, " Hebu tufikirie hatua kwa hatua."},
    {"ta", XT_LEVEL_LOW, " படிப்படியாக சிந்திப்போம்."},
    {"th", XT_LEVEL_LOW, " มาคิดกันทีละขั้นตอน"},
    {"tl", XT_LEVEL_LOW, " Mag-isip tayo nang hakbang-hakbang."},
    {"tr", XT_LEVEL_MID, " Adım adım düşünelim."},
    {"uk", XT_LEVEL_LOW, " Давайте подумаємо крок за кроком."},
    {"ur", XT_LEVEL_LOW, " آئیے قدم بہ قدم سوچیں۔"},
    {"vi", XT_LEVEL_MID, " Hãy suy nghĩ từng bước một."},
    {"zh", XT_LEVEL_HIGH, "让我们一步一步地思考。"},
};

/* "zh-CN" is zh. */
static const Language *find_language(const char *code) {
  const size_t length = strcspn(code, "-_");
  for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
    if (strlen(languages[i].code) == length && memcmp(languages[i].code, code, length) == 0)
      return &languages[i];
  return NULL;
}

xt_level xt_language_level(const char *lang) {
  const Language *language = find_language(lang);
  return language ? language->level : XT_LEVEL_UNKNOWN;
}

const char *xt_level_name(xt_level level) {
  static const char *const names[] = {"", "High", "Mid", "Low"};
  return (size_t)level < sizeof names / sizeof *names ? names[level] : "";
}

const char *xt_language_cot(const char *lang) {
  const Language *language = find_language(lang);
  return language ? language->think : NULL;
}

/* ---- countries ------------------------------------------------------------------------------- */

typedef struct Country {
  const char *name, *lang;
} Country;

/* As GlobalOpinionQA's selections name them, without "(Non-national sample)" and the like; the
 * languages are those under which the paper's authors released each country's questions. */
static const Country opinion_countries[] = {
    {"Angola", "pt"},
    {"Argentina", "es"},
    {"Australia", "en"},
    {"Austria", "de"},
    {"Bolivia", "es"},
    {"Brazil", "pt"},
    {"Britain", "en"},
    {"Burkina Faso", "fr"},
    {"Canada", "en"},
    {"Chile", "es"},
    {"China", "zh-CN"},
    {"Colombia", "es"},
    {"Cyprus", "el"},
    {"Ecuador", "es"},
    {"Egypt", "ar"},
    {"El Salvador", "es"},
    {"Ethiopia", "am"},
    {"France", "fr"},
    {"Germany", "de"},
    {"Ghana", "en"},
    {"Great Britain", "en"},
    {"Greece", "el"},
    {"Guatemala", "es"},
    {"Honduras", "es"},
    {"Hong Kong SAR", "zh-CN"},
    {"India", "hi"},
    {"Indonesia", "id"},
    {"Iraq", "ar"},
    {"Ivory Coast", "fr"},
    {"Japan", "ja"},
    {"Jordan", "ar"},
    {"Kenya", "sw"},
    {"Kuwait", "ar"},
    {"Lebanon", "ar"},
    {"Libya", "ar"},
    {"Macau SAR", "zh-CN"},
    {"Mali", "fr"},
    {"Mexico", "es"},
    {"Morocco", "ar"},
    {"New Zealand", "en"},
    {"Nicaragua", "es"},
    {"Nigeria", "en"},
    {"Northern Ireland", "en"},
    {"Pakistan", "ur"},
    {"Palest. ter.", "ar"},
    {"Peru", "es"},
    {"Philippines", "tl"},
    {"Portugal", "pt"},
    {"Puerto Rico", "es"},
    {"Russia", "ru"},
    {"S. Africa", "en"},
    {"Senegal", "fr"},
    {"Singapore", "en"},
    {"Spain", "es"},
    {"Sweden", "sv"},
    {"Switzerland", "de"},
    {"Tanzania", "sw"},
    {"Tunisia", "ar"},
    {"Turkey", "tr"},
    {"Uganda", "en"},
    {"Ukraine", "uk"},
    {"United States", "en"},
    {"Uruguay", "es"},
    {"Venezuela", "es"},
    {"Vietnam", "vi"},
    {"Zimbabwe", "en"},
};

/* One country for a culture, but for English: the fractions in the paper's tables (of 17, 32, 45,
 * 40, 14, 53, 59, 46, 41, 27, 13, ... questions) are those of these. Of the two Arabic countries
 * with 17, Saudi Arabia is our choice. */
static const Country bench_countries[] = {
    {"China", "zh"},   {"France", "fr"}, {"Germany", "de"},        {"India", "hi"},
    {"Israel", "he"},  {"Japan", "ja"},  {"Malaysia", "ms"},       {"Philippines", "tl"},
    {"Poland", "pl"},  {"Russia", "ru"}, {"Saudi Arabia", "ar"},   {"South Korea", "ko"},
    {"Spain", "es"},   {"Turkey", "tr"}, {"United Kingdom", "en"}, {"United States", "en"},
    {"Vietnam", "vi"},
};

const char *opinion_culture(const char *country) {
  const char *note = strstr(country, " ("); /* "India (Old national sample)" */
  const size_t length = note ? (size_t)(note - country) : strlen(country);
  for (size_t i = 0; i < sizeof opinion_countries / sizeof *opinion_countries; i++) {
    const Country *c = &opinion_countries[i];
    if (strlen(c->name) == length && memcmp(c->name, country, length) == 0) return c->lang;
  }
  return NULL;
}

const char *bench_culture(const char *country) {
  for (size_t i = 0; i < sizeof bench_countries / sizeof *bench_countries; i++)
    if (strcmp(bench_countries[i].name, country) == 0) return bench_countries[i].lang;
  return NULL;
}
