/* SPDX-License-Identifier: Apache-2.0 */
/* Which part of a sweep a process does: as it is told, or by what a cluster put into its
 * environment. */
#ifndef CLI_INPUTS_SHARD_H
#define CLI_INPUTS_SHARD_H

#include "shell/cli.h"

typedef struct Shard {
  int k, n; /* the k-th of n, from 1 */
  xt_deal deal;
  char by[240]; /* the variables that "auto" took; else empty */
} Shard;

/* Reads --shard: NULL, "2/8" or "auto". EXIT_OK, or EXIT_USAGE once told. */
int shard_read(const Cli *cli, const char *text, Shard *out);
/* `name` with the shard's number for each %k, and their number for each %n. Caller frees. */
char *shard_name(const char *name, const Shard *shard);
/* The command that a run's provenance records, or NULL. Caller frees. */
json_t *shard_command(const char *provenance);
/* The shard of such a command, 1 of 1 where it names none. An earlier version did not record how it
 * dealt: by turns. False if it names something else. */
bool shard_of_command(const json_t *command, Shard *out);
/* A store that an earlier version began with shards dealt by turns goes on with those. */
xt_status shard_as_begun(xt_store *store, Shard *shard, xt_error *error);

#endif
