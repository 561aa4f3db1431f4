/* SPDX-License-Identifier: Apache-2.0 */
#include "shell/opts.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shell/layers.h"

#define HELP_COLUMN 28
#define HELP_WIDTH 96

/* ---- help ------------------------------------------------------------------------------------ */

const char *const *option_choices(const Option *option) {
  return option->choices_from ? option->choices_from() : option->choices;
}

void option_describe(const Option *option, char *out, size_t size) {
  char facts[400] = "";
  size_t used = 0;
  const char *separator = "";
#define FACT(...)                                                                   \
  do {                                                                              \
    if (used < sizeof facts)                                                        \
      used += (size_t)snprintf(facts + used, sizeof facts - used, "%s", separator); \
    if (used < sizeof facts)                                                        \
      used += (size_t)snprintf(facts + used, sizeof facts - used, __VA_ARGS__);     \
    separator = "; ";                                                               \
  } while (0)
  if (option->required) FACT("required");
  if (option->type == OPTION_INT || option->type == OPTION_INTS)
    FACT("%.0f to %.0f", option->low, option->high);
  if (option->type == OPTION_REAL) FACT("%.9g to %.9g", option->low, option->high);
  const char *const *choice = option->type == OPTION_ENUM ? option_choices(option) : NULL;
  for (const char *lead = NULL; choice && *choice; choice++, lead = ", ") {
    if (lead) separator = lead;
    FACT("%s", *choice);
    separator = "; ";
  }
  if (option->preset) FACT("default %s", option->preset);
#undef FACT
  snprintf(out, size, facts[0] ? "%s (%s)" : "%s%s", option->help, facts);
}

static void option_label(const Option *option, char *out, size_t size) {
  const char letter[5] = {option->letter ? '-' : ' ', option->letter ? option->letter : ' ',
                          option->letter ? ',' : ' ', ' ', 0};
  snprintf(out, size, "  %s--%s%s%s", letter, option->name, option->value ? " " : "",
           option->value ? option->value : "");
}

/* Words of `text` from column `indent`, broken before HELP_WIDTH; `at` is the column now. */
static void print_wrapped(FILE *to, const char *text, size_t indent, size_t at) {
  while (*text) {
    const size_t word = strcspn(text, " ");
    if (at + word > HELP_WIDTH && at > indent) {
      fprintf(to, "\n%*s", (int)indent, "");
      at = indent;
    }
    fprintf(to, "%.*s", (int)word, text);
    at += word;
    text += word;
    while (*text == ' ') text++;
    if (*text && at + 1 + strcspn(text, " ") <= HELP_WIDTH) {
      fputc(' ', to);
      at++;
    } else if (*text) {
      fprintf(to, "\n%*s", (int)indent, "");
      at = indent;
    }
  }
  fputc('\n', to);
}

void options_print_help(const Verb *verb, FILE *to) {
  size_t at = (size_t)fprintf(to, "usage: xtransplant %s", verb->name);
  if (verb->rest_name) at += (size_t)fprintf(to, " %s", verb->rest_name);
  for (size_t i = 0; i < verb->option_count; i++) {
    const Option *option = &verb->options[i];
    if (!option->required) continue;
    if (at + strlen(option->name) + strlen(option->value) + 4 > HELP_WIDTH)
      at = (size_t)fprintf(to, "\n      ") - 1;
    at += (size_t)fprintf(to, " --%s %s", option->name, option->value);
  }
  fputs(verb->option_count ? " [options]\n\n" : "\n\n", to);
  print_wrapped(to, verb->about, 0, 0);
  fputs("\noptions:\n", to);
  for (size_t i = 0; i < verb->option_count; i++) {
    char label[96], text[800];
    option_label(&verb->options[i], label, sizeof label);
    option_describe(&verb->options[i], text, sizeof text);
    const size_t length = strlen(label);
    fputs(label, to);
    if (length + 2 > HELP_COLUMN)
      fprintf(to, "\n%*s", HELP_COLUMN, "");
    else
      fprintf(to, "%*s", (int)(HELP_COLUMN - length), "");
    print_wrapped(to, text, HELP_COLUMN, HELP_COLUMN);
  }
  fprintf(to, "  -h, --help                print this help\n");
  if (verb->example) fprintf(to, "\nexample:\n  %s\n", verb->example);
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Levenshtein distance, one row at a time. Names are short; a longer text is far from all of
 * them. */
static size_t edit_distance(const char *a, const char *b) {
  size_t row[64];
  const size_t length = strlen(b);
  if (length >= 63 || strlen(a) >= 63) return SIZE_MAX;
  for (size_t j = 0; j <= length; j++) row[j] = j;
  for (size_t i = 1; a[i - 1]; i++) {
    size_t corner = row[0];
    row[0] = i;
    for (size_t j = 1; j <= length; j++) {
      const size_t above = row[j];
      size_t best = corner + (a[i - 1] != b[j - 1]);
      if (above + 1 < best) best = above + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      corner = above;
      row[j] = best;
    }
  }
  return row[length];
}

const char *nearest_name(const char *text, const char *const *names) {
  const char *best = NULL;
  size_t least = strlen(text) / 2 + 1; /* more than half wrong is no suggestion */
  for (; *names; names++) {
    const size_t distance = edit_distance(text, *names);
    if (distance < least) {
      least = distance;
      best = *names;
    }
  }
  return best;
}

/* Whole number low..high, of the whole text up to `end`. */
static bool parse_int(const char *text, const char *end, double low, double high, int *out) {
  char *stop;
  if (*text != '-' && (*text < '0' || *text > '9')) return false;
  errno = 0;
  const long value = strtol(text, &stop, 10);
  if (stop != end || errno || value > INT_MAX || value < INT_MIN) return false;
  if ((double)value < low || (double)value > high) return false;
  *out = (int)value;
  return true;
}

static bool parse_ints(const char *text, double low, double high, IntList *out) {
  out->count = 0;
  for (;;) {
    const char *end = text + strcspn(text, ",");
    if (out->count == INT_LIST_MAX || !parse_int(text, end, low, high, &out->at[out->count]))
      return false;
    out->count++;
    if (!*end) return true;
    text = end + 1;
  }
}

/* Sites and choices are known in any case of letters: "XNLI", "FFN". ASCII alone, whatever the
 * locale. */
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool same_letters(const char *a, const char *b) {
  while (*a && lower(*a) == lower(*b)) a++, b++;
  return *a == *b;
}

static bool parse_site(const char *text, size_t length, xt_site *out) {
  char name[XT_SITE_NAME_SIZE];
  if (length >= sizeof name) return false;
  for (size_t i = 0; i < length; i++) name[i] = lower(text[i]);
  name[length] = 0;
  return xt_site_parse(name, out, NULL) == XT_STATUS_OK;
}

static bool parse_sites(const char *text, SiteList *out) {
  out->count = 0;
  for (;;) {
    const size_t length = strcspn(text, ",");
    xt_site site;
    if (out->count == SITE_LIST_MAX || !parse_site(text, length, &site)) return false;
    for (int i = 0; i < out->count; i++)
      if (memcmp(&out->at[i], &site, sizeof site) == 0) return false;
    out->at[out->count++] = site;
    if (!text[length]) return true;
    text += length + 1;
  }
}

static bool parse_u64(const char *text, uint64_t *out) {
  char *stop;
  if (*text < '0' || *text > '9') return false;
  errno = 0;
  const unsigned long long value = strtoull(text, &stop, 10);
  if (*stop || errno) return false;
  *out = value;
  return true;
}

#define LEAST_BARE_SIZE 1048576.0 /* a smaller number without a unit is meant to have one */

/* Bytes: a number, then nothing or one of K, M, G, T (powers of 1024), then nothing, "B" or
 * "iB". */
static bool parse_size(const char *text, uint64_t *out) {
  static const char units[] = "KMGT";
  char *stop;
  if (*text < '0' || *text > '9' || strpbrk(text, "xXeE")) return false;
  double value = strtod(text, &stop);
  if (*stop && strchr(units, *stop)) {
    value = ldexp(value, 10 * (int)(strchr(units, *stop) - units + 1));
    stop++;
    if (*stop == 'i') stop++;
    if (*stop == 'B') stop++;
  }
  if (*stop || !(value >= 1) || value >= ldexp(1, 63)) return false;
  if (value < LEAST_BARE_SIZE && !strpbrk(text, units)) return false;
  *out = (uint64_t)value;
  return true;
}

static bool parse_real(const char *text, double low, double high, double *out) {
  char *stop;
  if (!*text || strpbrk(text, " \t\n")) return false;
  const double value = strtod(text, &stop);
  if (*stop || !(value >= low && value <= high)) return false;
  *out = value;
  return true;
}

static bool parse_choice(const char *text, const char *const *choices, int *out) {
  for (int i = 0; choices[i]; i++) {
    if (same_letters(text, choices[i])) {
      *out = i;
      return true;
    }
  }
  return false;
}

static bool is_device(const char *text) {
  static const char *const drivers[] = {"cuda", "opencl"};
  if (strcmp(text, "cpu") == 0) return true;
  for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
    const size_t length = strlen(drivers[i]);
    if (strncmp(text, drivers[i], length) != 0) continue;
    const char *number = text + length;
    if (*number == 0 ||
        (*number == ':' && number[1] && !number[1 + strspn(number + 1, "0123456789")]))
      return true;
  }
  return false;
}

/* Whether a size is a number of bytes so small that its unit was forgotten. */
static bool lacks_unit(const char *text) {
  char *stop;
  return *text >= '1' && *text <= '9' && strtod(text, &stop) < LEAST_BARE_SIZE && !*stop;
}

/* What is wrong with a value of this type, after "'x' is ". */
static const char *complaint(OptionType type, const char *text) {
  if (type == OPTION_SIZE && lacks_unit(text))
    return "a number of bytes; with a unit it is a size, as in 4G, 512M or 100K";
  switch (type) {
    case OPTION_INT: return "not a whole number in range";
    case OPTION_INTS: return "not a list of whole numbers in range with commas between";
    case OPTION_U64: return "not a whole number from 0 to 18446744073709551615";
    case OPTION_REAL: return "not a number in range";
    case OPTION_SIZE: return "not a size such as 4G, 512M or 8000000000";
    case OPTION_ENUM: return "not one of the choices";
    case OPTION_SITE: return "not a site";
    case OPTION_SITES: return "not a list of different sites with commas between";
    case OPTION_LAYER: return "not a layer such as 0, first or last";
    case OPTION_LAYERS: return "not a layer list such as all, last, 0-7 or 0,5,31";
    case OPTION_DEVICE: return "not a device such as cpu, opencl, opencl:1, cuda or cuda:0";
    case OPTION_FLAG:
    case OPTION_TEXT: break;
  }
  return "empty";
}

static bool store(const Option *option, const char *text, void *arguments) {
  void *field = (char *)arguments + option->field;
  switch (option->type) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT: *(const char **)field = text; return *text != 0;
    case OPTION_INT: return parse_int(text, text + strlen(text), option->low, option->high, field);
    case OPTION_INTS: return parse_ints(text, option->low, option->high, field);
    case OPTION_U64: return parse_u64(text, field);
    case OPTION_REAL: return parse_real(text, option->low, option->high, field);
    case OPTION_SIZE: return parse_size(text, field);
    case OPTION_ENUM: return parse_choice(text, option_choices(option), field);
    case OPTION_SITE: return !strchr(text, '+') && parse_site(text, strlen(text), field);
    case OPTION_SITES: return parse_sites(text, field);
    case OPTION_LAYER: return layer_parse(text, field);
    case OPTION_LAYERS: *(const char **)field = text; return layers_check(text);
    case OPTION_DEVICE: *(const char **)field = text; return is_device(text);
  }
  return false;
}

/* One line: what is wrong, then the option's help. */
static bool reject(const Cli *cli, const Option *option, const char *value, const char *wrong) {
  char label[96], text[800];
  option_label(option, label, sizeof label);
  option_describe(option, text, sizeof text);
  const char *name = label + strspn(label, " ");
  fprintf(stderr, "xtransplant %s: --%s: ", cli->verb->name, option->name);
  if (value) fprintf(stderr, "'%s' is ", value);
  fprintf(stderr, "%s; %s: %s\n", wrong, name, text);
  return false;
}

static bool reject_unknown(const Cli *cli, const char *text, size_t length) {
  char name[64];
  const char *names[OPTIONS_MAX + 2];
  size_t n = 0;
  for (; n < cli->verb->option_count; n++) names[n] = cli->verb->options[n].name;
  names[n++] = "help";
  names[n] = NULL;
  snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), text);
  const char *meant = nearest_name(name + strspn(name, "-"), names);
  fprintf(stderr, "xtransplant %s: unknown option '%s'", cli->verb->name, name);
  if (meant)
    fprintf(stderr, "; did you mean --%s?\n", meant);
  else
    fprintf(stderr, "; see xtransplant %s --help\n", cli->verb->name);
  return false;
}

static const Option *find_option(const Verb *verb, const char *text, size_t length) {
  for (size_t i = 0; i < verb->option_count; i++) {
    const Option *option = &verb->options[i];
    if (length == 2 && text[1] == option->letter && option->letter) return option;
    if (length > 2 && text[1] == '-' && strlen(option->name) == length - 2 &&
        memcmp(text + 2, option->name, length - 2) == 0)
      return option;
  }
  return NULL;
}

/* argv[*i] is an option: stores it and moves *i to the last argument it used. */
static bool parse_one(Cli *cli, int argc, char **argv, int *i, void *arguments) {
  const char *text = argv[*i];
  const bool is_long = text[1] == '-';
  const size_t length = is_long ? strcspn(text, "=") : 2; /* -mPATH is -m PATH */
  const char *value = text[length] ? text + length + is_long : NULL;
  const Option *option = find_option(cli->verb, text, length);
  if (!option) return reject_unknown(cli, text, is_long ? length : strlen(text));
  cli->given[option - cli->verb->options] = true;
  if (option->type == OPTION_FLAG) {
    if (value) return reject(cli, option, NULL, "takes no value");
  } else if (!value) {
    if (*i + 1 >= argc) return reject(cli, option, NULL, "needs a value");
    value = argv[++*i];
  }
  return store(option, value, arguments) ||
         reject(cli, option, value, complaint(option->type, value));
}

bool option_is_given(const Cli *cli, const char *name) {
  for (size_t i = 0; i < cli->verb->option_count; i++)
    if (strcmp(cli->verb->options[i].name, name) == 0) return cli->given[i];
  return false;
}

bool options_parse(Cli *cli, int argc, char **argv, void *arguments) {
  const Verb *verb = cli->verb;
  for (size_t i = 0; i < verb->option_count; i++)
    if (verb->options[i].preset) store(&verb->options[i], verb->options[i].preset, arguments);

  /* Arguments that are no options gather at the front of argv, over slots already read. */
  size_t rest = 0;
  bool only_rest = false;
  for (int i = 0; i < argc; i++) {
    if (!only_rest && strcmp(argv[i], "--") == 0) {
      only_rest = true;
    } else if (!only_rest && argv[i][0] == '-' && argv[i][1]) {
      if (!parse_one(cli, argc, argv, &i, arguments)) return false;
    } else if (rest == verb->rest_max) {
      fprintf(stderr, "xtransplant %s: unexpected argument '%s'; see xtransplant %s --help\n",
              verb->name, argv[i], verb->name);
      return false;
    } else {
      argv[rest++] = argv[i];
    }
  }
  cli->rest = (const char *const *)argv;
  cli->rest_count = rest;

  for (size_t i = 0; i < verb->option_count; i++)
    if (verb->options[i].required && !cli->given[i])
      return reject(cli, &verb->options[i], NULL, "missing");
  return true;
}
