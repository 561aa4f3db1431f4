/* SPDX-License-Identifier: Apache-2.0 */
/* Man pages in the language of man(7). */
#include "shell/manual.h"

#include <string.h>

#include "xtransplant/version.h"

/* Text as groff prints it unchanged: hyphens stay hyphens, and no line begins a request. */
static void put_text(FILE *to, const char *text) {
  if (*text == '.' || *text == '\'') fputs("\\&", to);
  for (; *text; text++) {
    if (*text == '\\')
      fputs("\\e", to);
    else if (*text == '-')
      fputs("\\-", to);
    else
      fputc(*text, to);
  }
}

static void put_upper(FILE *to, const char *text) {
  for (; *text; text++) {
    if (*text == '-')
      fputs("\\-", to);
    else
      fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, to);
  }
}

static void put_head(FILE *to, const char *verb, const char *summary) {
  fprintf(to, ".\\\" SPDX-License-Identifier: Apache-2.0\n.\\\" Made from the program's option "
              "tables.\n.TH XTRANSPLANT");
  if (verb) fputs("\\-", to);
  put_upper(to, verb ? verb : "");
  fprintf(to, " 1 \"\" \"xtransplant %s\" \"User Commands\"\n.SH NAME\nxtransplant", xt_version());
  if (verb) fputs("\\-", to);
  put_text(to, verb ? verb : "");
  fputs(" \\- ", to);
  put_text(to, summary);
  fputc('\n', to);
}

static void put_option(FILE *to, const Option *option) {
  char text[800];
  fputs(".TP\n", to);
  if (option->letter) fprintf(to, "\\fB\\-%c\\fR, ", option->letter);
  fputs("\\fB\\-\\-", to);
  put_text(to, option->name);
  fputs("\\fR", to);
  if (option->value) fprintf(to, " \\fI%s\\fR", option->value);
  fputc('\n', to);
  option_describe(option, text, sizeof text);
  put_text(to, text);
  fputc('\n', to);
}

static void put_exit_codes(FILE *to) {
  fputs(".SH EXIT STATUS\n0: done. 1: failed. 2: wrong usage. 3: bad input. A message on stderr "
        "says what is wrong.\n",
        to);
}

void manual_print_verb(const Verb *verb, FILE *to) {
  bool has_model = false;
  put_head(to, verb->name, verb->summary);
  fprintf(to, ".SH SYNOPSIS\n.B xtransplant ");
  put_text(to, verb->name);
  fputc('\n', to);
  if (verb->rest_name) {
    put_text(to, verb->rest_name);
    fputc('\n', to);
  }
  for (size_t i = 0; i < verb->option_count; i++) {
    const Option *option = &verb->options[i];
    has_model = has_model || strcmp(option->name, "model") == 0;
    if (!option->required) continue;
    fputs("\\fB\\-\\-", to);
    put_text(to, option->name);
    fprintf(to, "\\fR \\fI%s\\fR\n", option->value);
  }
  fputs("[\\fIoptions\\fR]\n.SH DESCRIPTION\n", to);
  put_text(to, verb->about);
  fputs("\n.SH OPTIONS\n", to);
  for (size_t i = 0; i < verb->option_count; i++) put_option(to, &verb->options[i]);
  fputs(".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nprint the options and exit\n", to);
  if (has_model)
    fputs(".SH ENVIRONMENT\n.TP\n\\fBHF_HUB_CACHE\\fR, \\fBHF_HOME\\fR, \\fBXDG_CACHE_HOME\\fR\n"
          "where the Hugging Face cache is, in which models are found by name: the first of "
          "$HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub and "
          "~/.cache/huggingface/hub that is set\n",
          to);
  put_exit_codes(to);
  if (verb->example) {
    fputs(".SH EXAMPLE\n.nf\n", to);
    put_text(to, verb->example);
    fputs("\n.fi\n", to);
  }
  fputs(".SH SEE ALSO\n.BR xtransplant (1)\n", to);
}

void manual_print_program(VerbList verbs, FILE *to) {
  put_head(to, NULL, "cross-lingual latent transplantation in decoder language models");
  fputs(".SH SYNOPSIS\n.B xtransplant\n\\fIVERB\\fR [\\fIoptions\\fR]\n.SH DESCRIPTION\n", to);
  put_text(to, "Takes the activation of a prompt's last token at one layer, puts it in place at a "
               "layer of another prompt's forward pass, and generates. Results go to stdout, "
               "messages and progress to stderr. Layers are counted from 0. Each verb has a page "
               "of its own, xtransplant-VERB(1), and explains itself with --help.");
  fputs("\n.SH VERBS\n", to);
  for (size_t i = 0; i < verbs.count; i++) {
    fputs(".TP\n.B ", to);
    put_text(to, verbs.at[i]->name);
    fputc('\n', to);
    put_text(to, verbs.at[i]->summary);
    fputc('\n', to);
  }
  put_exit_codes(to);
  fputs(".SH EXAMPLE\n.nf\n", to);
  put_text(to, "xtransplant demo");
  fputs("\n.fi\n.SH SEE ALSO\n", to);
  for (size_t i = 0; i < verbs.count; i++) {
    fputs(".BR xtransplant\\-", to);
    put_text(to, verbs.at[i]->name);
    fputs(i + 1 < verbs.count ? " (1),\n" : " (1)\n", to);
  }
}
