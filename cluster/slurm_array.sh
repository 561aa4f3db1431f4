#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A sweep as a Slurm array: each task does a shard. Give sweep's options, but for --shard and -o:
#
#   sbatch --array=0-7 cluster/slurm_array.sh -m MODEL --task xnli --data XNLI_sample
#   xtransplant merge xnli.db results/shard-*.db
#
# Two minutes before the time limit Slurm signals the script, the program stops and keeps what it
# has, and the task queues again. When it is preempted, Slurm does the same by itself.
#SBATCH --job-name=xtransplant
#SBATCH --array=0-7
#SBATCH --cpus-per-task=8
#SBATCH --mem=40G
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=xtransplant-%A_%a.log

# a signal may come before there is a program to hand it to
sweep='' early=''
stop() {
  if [ -n "$sweep" ]; then kill -"$1" "$sweep" 2>/dev/null; else early=$1; fi
}
trap 'stop USR1' USR1 # the shell alone gets B:USR1
trap 'stop TERM' TERM
results=${XT_RESULTS:-results}
mkdir -p "$results"
xtransplant sweep --threads "${SLURM_CPUS_PER_TASK:-1}" "$@" --shard auto -o "$results/shard-%k-of-%n.db" &
sweep=$!
[ -z "$early" ] || stop "$early"
wait "$sweep"
code=$?
while kill -0 "$sweep" 2>/dev/null; do # a signal ends the shell's wait before the program ends
  wait "$sweep"
  code=$?
done
if [ "$code" -eq 138 ]; then # 128 + SIGUSR1: stopped before the limit
  # by its place in the array: the job id of an array's last task is that of the whole array
  for pause in 2 5 10 0; do # a busy controller may not answer at once
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && code=0 && break
    sleep $pause
  done
  # Slurm ends this script then; one that ended by itself before would not be queued again.
  [ "$code" -ne 0 ] || sleep 100
fi
exit "$code"
