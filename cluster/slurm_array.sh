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

results=${XT_RESULTS:-results}
mkdir -p "$results"
xtransplant sweep --threads "${SLURM_CPUS_PER_TASK:-1}" "$@" --shard auto -o "$results/shard-%k-of-%n.db" &
sweep=$!
trap 'kill -USR1 "$sweep" 2>/dev/null' USR1 # the shell alone gets B:USR1
trap 'kill -TERM "$sweep" 2>/dev/null' TERM
wait "$sweep"
code=$?
while kill -0 "$sweep" 2>/dev/null; do # a signal ends the shell's wait before the program ends
  wait "$sweep"
  code=$?
done
if [ "$code" -eq 138 ]; then # 128 + SIGUSR1: stopped before the limit
  # by its place in the array: the job id of an array's last task is that of the whole array
  # Slurm ends this script then; one that ended by itself before would not be queued again.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && code=0 && sleep 30
fi
exit "$code"
