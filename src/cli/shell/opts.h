/* SPDX-License-Identifier: Apache-2.0 */
/* Options: one typed table per verb, from which parsing, checking and help all follow. */
#ifndef CLI_SHELL_OPTS_H
#define CLI_SHELL_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "xtransplant/engine.h"

typedef enum OptionType {                /* the type of the field it fills */
                          OPTION_FLAG,   /* bool */
                          OPTION_TEXT,   /* const char * */
                          OPTION_INT,    /* int, low..high */
                          OPTION_INTS,   /* IntList, each low..high, with commas */
                          OPTION_U64,    /* uint64_t */
                          OPTION_REAL,   /* double, low..high */
                          OPTION_SIZE,   /* uint64_t, bytes: 4G, 512M */
                          OPTION_ENUM,   /* int, the index in choices */
                          OPTION_SITE,   /* xt_site */
                          OPTION_SITES,  /* SiteList, with commas, no site twice */
                          OPTION_LAYER,  /* int: 0-based, or LAYER_FIRST, LAYER_LAST */
                          OPTION_LAYERS, /* const char *, checked by layers_check */
                          OPTION_DEVICE  /* const char *: cpu, opencl, opencl:K, cuda or cuda:K */
} OptionType;

#define INT_LIST_MAX 64
typedef struct IntList {
  int count;
  int at[INT_LIST_MAX];
} IntList;

#define SITE_LIST_MAX 32
typedef struct SiteList {
  int count;
  xt_site at[SITE_LIST_MAX];
} SiteList;

typedef struct Option {
  const char *name;
  char letter; /* 0: no short form */
  OptionType type;
  size_t field;      /* OPTION_FIELD(Arguments, type, member) */
  const char *value; /* how help names the value: "N", "PATH" */
  const char *help;
  const char *preset; /* the default, read as if it had been given; NULL: the field stays zero */
  bool required;
  double low, high;
  const char *const *choices;               /* OPTION_ENUM: NULL-terminated, or */
  const char *const *(*choices_from)(void); /* asked for when parsing */
} Option;

/* offsetof that does not compile when the member has another type. */
#define OPTION_FIELD(Arguments, member_type, member) \
  (offsetof(Arguments, member) + 0 * sizeof(&((Arguments *)0)->member == (member_type *)0))

typedef struct Cli Cli;

typedef struct Verb {
  const char *name;
  const char *summary; /* one line of `xtransplant --help` */
  const char *about;   /* one paragraph of `xtransplant VERB --help` */
  const char *example;
  const char *rest_name; /* arguments that are not options, as usage names them; NULL: none
                              taken */
  size_t rest_max;
  const Option *options;
  size_t option_count;
  size_t arguments_size; /* of the struct that the options fill; zeroed before */
  int (*run)(const Cli *cli, void *arguments); /* returns the exit code */
} Verb;

#define OPTIONS_MAX 64

/* One invocation. */
struct Cli {
  const Verb *verb;
  bool given[OPTIONS_MAX]; /* on the command line, by index in the verb's table */
  size_t rest_count;
  const char *const *rest;
};

/* Fills `arguments` from argv[0..argc). Rejected input is told on stderr, in one line; then
 * false. */
bool options_parse(Cli *cli, int argc, char **argv, void *arguments);
bool option_is_given(const Cli *cli, const char *name);

/* Help with what the table knows besides: "tokens at most (1 to 100; default 20)". */
void option_describe(const Option *option, char *out, size_t size);
/* Of OPTION_ENUM: NULL-terminated. */
const char *const *option_choices(const Option *option);

/* Usage, paragraph, options with ranges and defaults, example. */
void options_print_help(const Verb *verb, FILE *to);

/* The name of `names` (NULL-terminated) that `text` most likely meant, or NULL when none is
 * near. */
const char *nearest_name(const char *text, const char *const *names);

#endif
