#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A sweep over the machines of GNU parallel's hosts.txt, which share a folder: N=8 cluster/parallel.sh -m MODEL ...
# Ended at any moment, the same command goes on.
seq "${N:-8}" | parallel --sshloginfile "${HOSTS:-hosts.txt}" --workdir . -j1 xtransplant sweep "$@" --shard "{}/${N:-8}" -o shard-%k-of-%n.db
xtransplant merge results.db shard-*-of-"${N:-8}".db
