#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A sweep over the machines of GNU parallel's hosts.txt, which share a folder: N=8 cluster/parallel.sh -m MODEL ...
# Ended at any moment, or with a machine that failed, the same command goes on; the shards are merged once all are done.
seq "${N:-8}" | parallel -q --sshloginfile "${HOSTS:-hosts.txt}" --workdir . -j1 xtransplant sweep "$@" --shard "{}/${N:-8}" -o shard-%k-of-%n.db &&
  xtransplant merge results.db shard-*-of-"${N:-8}".db
