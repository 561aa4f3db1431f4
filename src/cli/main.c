/* SPDX-License-Identifier: Apache-2.0 */
/* The program: finds the verb, has its options read, runs it. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shell/bus_error.h"
#include "shell/cli.h"
#include "shell/manual.h"
#include "verbs/verbs.h"

static int run_help(const Cli *cli, void *arguments);
static int run_version(const Cli *cli, void *arguments);

typedef struct HelpArguments {
  bool man, names;
  int shell;
} HelpArguments;

static const Option help_options[] = {
    {.name = "man",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(HelpArguments, bool, man),
     .help = "print a man page: of the verb, or of the program"},
    {.name = "completion",
     .type = OPTION_ENUM,
     .field = OPTION_FIELD(HelpArguments, int, shell),
     .value = "SHELL",
     .choices = completion_shells,
     .help = "print what this shell reads to complete verbs, options and values"},
    {.name = "names",
     .type = OPTION_FLAG,
     .field = OPTION_FIELD(HelpArguments, bool, names),
     .help = "print the verbs' names alone, one per line"},
};

static const Verb verb_help = {
    .name = "help",
    .summary = "list the verbs, or explain one",
    .about =
        "Lists the verbs; with the name of one, explains it, as --help after that verb does. Man "
        "pages and completions, which make install puts in their places, can be printed too.",
    OPTION_TABLE(help_options),
    .arguments_size = sizeof(HelpArguments),
    .example = "xtransplant help run",
    .rest_name = "[VERB]",
    .rest_max = 1,
    .run = run_help,
};
static const Verb verb_version = {
    .name = "version",
    .summary = "print the version",
    .about = "Prints the program's name and version.",
    .run = run_version,
};

static const Verb *const verbs[] = {
    &verb_demo,    &verb_inspect,    &verb_tokenize, &verb_detokenize, &verb_generate,
    &verb_run,     &verb_lens,       &verb_capture,  &verb_sweep,      &verb_metrics,
    &verb_options, &verb_select,     &verb_baseline, &verb_report,     &verb_export,
    &verb_merge,   &verb_score,      &verb_pilotset, &verb_train,      &verb_train_tokenizer,
    &verb_verify,  &verb_init_model, &verb_bench,    &verb_devices,    &verb_help,
    &verb_version,
};
#define VERB_COUNT (sizeof verbs / sizeof *verbs)

static void print_overview(FILE *to) {
  fprintf(to,
          "xtransplant %s: cross-lingual latent transplantation in decoder language models\n\n"
          "usage: xtransplant VERB [options]\n\nverbs:\n",
          xt_version());
  for (size_t i = 0; i < VERB_COUNT; i++)
    fprintf(to, "  %-15s  %s\n", verbs[i]->name, verbs[i]->summary);
  fprintf(to, "\n`xtransplant VERB --help` explains a verb. Layers are counted from 0. Results go "
              "to stdout, messages\n"
              "to stderr. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 bad input.\n");
}

static const Verb *find_verb(const char *name) {
  for (size_t i = 0; i < VERB_COUNT; i++)
    if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
  return NULL;
}

static int unknown_verb(const char *name) {
  const char *names[VERB_COUNT + 1] = {NULL};
  for (size_t i = 0; i < VERB_COUNT; i++) names[i] = verbs[i]->name;
  const char *meant = nearest_name(name, names);
  fprintf(stderr, "xtransplant: unknown verb '%.60s'; ", name);
  if (meant)
    fprintf(stderr, "did you mean %s?\n", meant);
  else
    fputs("see xtransplant --help\n", stderr);
  return EXIT_USAGE;
}

static int run_help(const Cli *cli, void *opaque) {
  const HelpArguments *arguments = opaque;
  const VerbList list = {verbs, VERB_COUNT};
  const Verb *verb = cli->rest_count ? find_verb(cli->rest[0]) : NULL;
  if (cli->rest_count && !verb) return unknown_verb(cli->rest[0]);
  if (option_is_given(cli, "completion"))
    completion_print(arguments->shell, list, stdout);
  else if (arguments->names)
    for (size_t i = 0; i < VERB_COUNT; i++) puts(verbs[i]->name);
  else if (arguments->man && verb)
    manual_print_verb(verb, stdout);
  else if (arguments->man)
    manual_print_program(list, stdout);
  else if (verb)
    options_print_help(verb, stdout);
  else
    print_overview(stdout);
  return EXIT_OK;
}

static int run_version(const Cli *cli, void *arguments) {
  (void)cli;
  (void)arguments;
  printf("xtransplant %s\n", xt_version());
  return EXIT_OK;
}

static bool asks_for_help(int argc, char **argv) {
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  return false;
}

static int run_verb(const Verb *verb, int argc, char **argv) {
  if (asks_for_help(argc, argv)) {
    options_print_help(verb, stdout);
    return EXIT_OK;
  }
  Cli cli = {.verb = verb};
  void *arguments = calloc(1, verb->arguments_size + 1);
  if (!arguments) {
    fprintf(stderr, "xtransplant %s: out of memory\n", verb->name);
    return EXIT_FAILED;
  }
  const int code =
      options_parse(&cli, argc, argv, arguments) ? verb->run(&cli, arguments) : EXIT_USAGE;
  free(arguments);
  return code;
}

/* A result that did not reach its file is no result: a full disk or a closed pipe is a failure. */
static int flush_results(const char *verb, int code) {
  errno = 0;
  const bool earlier = ferror(stdout) != 0;
  const bool failed = fclose(stdout) != 0 || earlier;
  if (!failed || code != EXIT_OK) return code;
  fprintf(stderr, "xtransplant %s: stdout: cannot write: %s\n", verb,
          errno ? strerror(errno) : "an earlier write failed");
  return EXIT_FAILED;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN); /* a closed pipe then shows as a failed write, which has a message */
  signal(SIGXFSZ, SIG_IGN); /* and so does a file that is larger than it may be */
  if (argc < 2) {
    print_overview(stderr);
    return EXIT_USAGE;
  }
  const char *name = argv[1];
  const Verb *verb = find_verb(name);
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) verb = &verb_help;
  if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) verb = &verb_version;
  if (!verb && name[0] == '-') {
    fprintf(stderr,
            "xtransplant: unknown option '%.60s'; a verb comes first, see xtransplant --help\n",
            name);
    return EXIT_USAGE;
  }
  if (!verb) return unknown_verb(name);
  bus_error_watch(verb->name);
  return flush_results(verb->name, run_verb(verb, argc - 2, argv + 2));
}
