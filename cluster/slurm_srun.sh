#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A sweep as the tasks of one Slurm job, on one node or several: each task does a shard. Give
# sweep's options, but for --shard and -o:
#
#   sbatch --ntasks=8 cluster/slurm_srun.sh -m MODEL --task xnli --data XNLI_sample
#   xtransplant merge xnli.db results/shard-*.db
#SBATCH --job-name=xtransplant
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=5G
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=xtransplant-%j.log

results=${XT_RESULTS:-results}
mkdir -p "$results"
# --kill-on-bad-exit=0: a task that fails leaves the others at work.
srun --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=0 \
  xtransplant sweep --threads "${SLURM_CPUS_PER_TASK:-1}" "$@" --shard auto -o "$results/shard-%k-of-%n.db"
code=$?
if [ "$code" -eq 138 ]; then # 128 + SIGUSR1: some were stopped before the limit
  for pause in 2 5 10 0; do                  # a busy controller may not answer at once
    scontrol requeue "$SLURM_JOB_ID" && code=0 && break
    sleep $pause
  done
  # Slurm ends this script then; one that ended by itself before would not be queued again.
  [ "$code" -ne 0 ] || sleep 100
fi
exit "$code"
