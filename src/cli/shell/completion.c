/* SPDX-License-Identifier: Apache-2.0 */
/* Completions: the possible values of an option follow from its type, and from the name of its
 * value in help. */
#include <string.h>

#include "shell/manual.h"

const char *const completion_shells[] = {"bash", "zsh", "fish", NULL};

typedef enum ValueKind { VALUE_NONE, VALUE_WORDS, VALUE_FILE, VALUE_FOLDER, VALUE_OTHER } ValueKind;

static const char *const site_words[] = {"attn", "ffn", "block", "attn-released", NULL};
static const char *const layer_words[] = {"first", "last", NULL};
static const char *const layers_words[] = {"all", "first", "last", NULL};
static const char *const device_words[] = {"cpu", "opencl", "cuda", NULL};

static ValueKind value_kind(const Option *option, const char *const **words) {
  *words = NULL;
  switch (option->type) {
    case OPTION_FLAG: return VALUE_NONE;
    case OPTION_ENUM: *words = option_choices(option); break;
    case OPTION_SITE:
    case OPTION_SITES: *words = site_words; break;
    case OPTION_LAYER: *words = layer_words; break;
    case OPTION_LAYERS: *words = layers_words; break;
    case OPTION_DEVICE: *words = device_words; break;
    case OPTION_TEXT:
      if (strcmp(option->value, "FILE") == 0) return VALUE_FILE;
      if (strcmp(option->value, "DIR") == 0 || strcmp(option->value, "PATH") == 0)
        return VALUE_FOLDER;
      break;
    default: break;
  }
  return *words ? VALUE_WORDS : VALUE_OTHER;
}

static void put_words(FILE *to, const char *const *words) {
  for (size_t i = 0; words[i]; i++) fprintf(to, i ? " %s" : "%s", words[i]);
}

/* Text within '..' of a shell. `special`: characters with a meaning at that place, which a
 * backslash removes. */
static void put_quoted(FILE *to, const char *text, const char *special, const char *quote) {
  for (; *text; text++) {
    if (*text == '\'')
      fputs(quote, to);
    else if (strchr(special, *text))
      fprintf(to, "\\%c", *text);
    else
      fputc(*text, to);
  }
}

/* ---- bash ------------------------------------------------------------------------------------ */

static void bash_value(FILE *to, const Verb *verb, const Option *option) {
  const char *const *words;
  const ValueKind kind = value_kind(option, &words);
  if (kind == VALUE_NONE) return;
  fprintf(to, "    '%s --%s'", verb->name, option->name);
  if (option->letter) fprintf(to, " | '%s -%c'", verb->name, option->letter);
  fputs(") ", to);
  if (kind == VALUE_WORDS) {
    fputs("_xtransplant_words '", to);
    put_words(to, words);
    fputs("'; return ;;\n", to);
  } else {
    fputs(kind == VALUE_OTHER    ? "return ;;\n"
          : kind == VALUE_FOLDER ? "_xtransplant_files -d; return ;;\n"
                                 : "_xtransplant_files -f; return ;;\n",
          to);
  }
}

static void bash_print(VerbList verbs, FILE *to) {
  fputs("# bash completion of xtransplant, made from its option tables.\n"
        "_xtransplant_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$current\"); }\n"
        "_xtransplant_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen "
        "\"$1\" -- \"$current\"); }\n"
        "_xtransplant() {\n"
        "  local current=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} "
        "before=${COMP_WORDS[COMP_CWORD - 1]}\n"
        "  COMPREPLY=()\n"
        "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    _xtransplant_words '--help --version",
        to);
  for (size_t i = 0; i < verbs.count; i++) fprintf(to, " %s", verbs.at[i]->name);
  fputs("'\n    return\n  fi\n  case \"$verb $before\" in\n", to);
  for (size_t i = 0; i < verbs.count; i++)
    for (size_t k = 0; k < verbs.at[i]->option_count; k++)
      bash_value(to, verbs.at[i], &verbs.at[i]->options[k]);
  fputs("    'help help') _xtransplant_words '", to);
  for (size_t i = 0; i < verbs.count; i++) fprintf(to, i ? " %s" : "%s", verbs.at[i]->name);
  fputs("'; return ;;\n  esac\n  case \"$current\" in\n    -*) ;;\n    *) _xtransplant_files -f; "
        "return ;;\n  esac\n  case \"$verb\" in\n",
        to);
  for (size_t i = 0; i < verbs.count; i++) {
    fprintf(to, "    %s) _xtransplant_words '--help", verbs.at[i]->name);
    for (size_t k = 0; k < verbs.at[i]->option_count; k++)
      fprintf(to, " --%s", verbs.at[i]->options[k].name);
    fputs("' ;;\n", to);
  }
  fputs("  esac\n}\ncomplete -F _xtransplant xtransplant\n", to);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

static void zsh_option(FILE *to, const Option *option) {
  const char *const *words;
  const ValueKind kind = value_kind(option, &words);
  char text[800];
  option_describe(option, text, sizeof text);
  fputs(" \\\n        ", to);
  if (option->letter)
    fprintf(to, "'(-%c --%s)'{-%c,--%s}'[", option->letter, option->name, option->letter,
            option->name);
  else
    fprintf(to, "'--%s[", option->name);
  put_quoted(to, text, "[]:\\", "'\\''");
  fputc(']', to);
  if (kind != VALUE_NONE) fprintf(to, ":%s:", option->value);
  if (kind == VALUE_WORDS) {
    fputc('(', to);
    put_words(to, words);
    fputc(')', to);
  } else if (kind == VALUE_FILE || kind == VALUE_FOLDER) {
    fputs(kind == VALUE_FILE ? "_files" : "_files -/", to);
  }
  fputc('\'', to);
}

static void zsh_print(VerbList verbs, FILE *to) {
  fputs("#compdef xtransplant\n# zsh completion of xtransplant, made from its option "
        "tables.\n_xtransplant() {\n"
        "  local -a verbs\n  verbs=(\n",
        to);
  for (size_t i = 0; i < verbs.count; i++) {
    fprintf(to, "    '%s:", verbs.at[i]->name);
    put_quoted(to, verbs.at[i]->summary, ":\\", "'\\''");
    fputs("'\n", to);
  }
  fputs("  )\n  if (( CURRENT == 2 )); then\n    _describe -t verbs verb verbs\n    return\n  fi\n"
        "  local verb=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $verb in\n    help) "
        "_describe -t verbs verb verbs ;;\n",
        to);
  for (size_t i = 0; i < verbs.count; i++) {
    if (strcmp(verbs.at[i]->name, "help") == 0) continue;
    fprintf(to, "    %s)\n      _arguments '(-h --help)'{-h,--help}'[print the options and exit]'",
            verbs.at[i]->name);
    for (size_t k = 0; k < verbs.at[i]->option_count; k++) zsh_option(to, &verbs.at[i]->options[k]);
    fputs(verbs.at[i]->rest_name ? " \\\n        '*:file:_files' ;;\n" : " ;;\n", to);
  }
  fputs("  esac\n}\n_xtransplant \"$@\"\n", to);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void fish_option(FILE *to, const Verb *verb, const Option *option) {
  const char *const *words;
  const ValueKind kind = value_kind(option, &words);
  char text[800];
  option_describe(option, text, sizeof text);
  fprintf(to, "complete -c xtransplant -n '__fish_seen_subcommand_from %s' -l %s", verb->name,
          option->name);
  if (option->letter) fprintf(to, " -s %c", option->letter);
  if (kind == VALUE_WORDS) {
    fputs(" -x -a '", to);
    put_words(to, words);
    fputc('\'', to);
  } else if (kind == VALUE_FOLDER) {
    fputs(" -x -a '(__fish_complete_directories)'", to);
  } else if (kind != VALUE_NONE) {
    fputs(kind == VALUE_FILE ? " -r -F" : " -x", to);
  }
  fputs(" -d '", to);
  put_quoted(to, text, "\\", "\\'");
  fputs("'\n", to);
}

static void fish_print(VerbList verbs, FILE *to) {
  fputs("# fish completion of xtransplant, made from its option tables.\n"
        "complete -c xtransplant -n __fish_use_subcommand -f -l help -d 'list the verbs'\n"
        "complete -c xtransplant -n __fish_use_subcommand -f -l version -d 'print the version'\n",
        to);
  for (size_t i = 0; i < verbs.count; i++) {
    fprintf(to, "complete -c xtransplant -n __fish_use_subcommand -f -a %s -d '",
            verbs.at[i]->name);
    put_quoted(to, verbs.at[i]->summary, "\\", "\\'");
    fputs("'\n", to);
  }
  for (size_t i = 0; i < verbs.count; i++)
    for (size_t k = 0; k < verbs.at[i]->option_count; k++)
      fish_option(to, verbs.at[i], &verbs.at[i]->options[k]);
}

void completion_print(int shell, VerbList verbs, FILE *to) {
  void (*const printers[])(VerbList, FILE *) = {bash_print, zsh_print, fish_print};
  printers[shell](verbs, to);
}
