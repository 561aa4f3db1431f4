#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shards as clusters number them, on a real Slurm and under a real mpirun where they are installed, and the scripts of cluster/.
. "$(dirname "$0")/lib.sh"
[ -z "${XT_TEST_BRIEF:-}" ] || finish # shards are the same, whatever the build
source_folder=$(cd "$here/../.." && pwd)
stop_slurm() {
  for name in slurmd slurmctld munge; do
    [ -s "$work/slurm/$name.pid" ] || continue
    daemon=$(cat "$work/slurm/$name.pid") tries=0
    kill "$daemon" 2>/dev/null # it writes files until it has ended
    while kill -0 "$daemon" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  done
}
trap 'stop_slurm; rm -rf "$work"' EXIT
for name in $(env | sed -n 's/^\(SLURM_[A-Z_]*\|OMPI_[A-Z_]*\|PMI_[A-Z_]*\|JOB_COMPLETION[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
make_model tiny-llama
# questions of very different lengths, in an order that gives one shard all long ones when they are dealt by turns
awk 'BEGIN { for (i = 0; i < 60; i++) { text = ""; for (n = 0; n < (i % 3 ? 1 : 40 - i % 7); n++) text = text " word";
  printf "{\"id\": \"q%d\", \"lang\": \"sw\", \"source\": \"Question %d\", \"target\": \"Swali%s %d\", \"gold\": \"1\", \"task\": \"xnli\"}\n", i, i, text, i } }' >pairs.jsonl
sweep="sweep -m $model --threads 1 --pairs pairs.jsonl --site attn --max-new-tokens 4"

# ---- which shard: the message comes before the model is read
auto() { # NAME WANTED VARIABLE=VALUE...
  name=$1 want=$2
  shift 2
  run env "$@" "$X" sweep -m nowhere --pairs pairs.jsonl --shard auto -o 'x-%k-%n.db'
  same "auto: $name" "$(head -1 err)" "$want"
}
auto "a task of an array" "shard 3 of 4, by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT" \
  SLURM_ARRAY_TASK_ID=12 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=10
auto "an array with a step" "shard 2 of 3, by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT" \
  SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=4
auto "a task of srun" "shard 2 of 3, by SLURM_PROCID and SLURM_NTASKS" SLURM_PROCID=1 SLURM_NTASKS=3
auto "srun in an array" "shard 6 of 8, by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, SLURM_PROCID and SLURM_NTASKS" \
  SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=0 ENVIRONMENT=BATCH SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=1 SLURM_NTASKS=4
auto "the script of an array with tasks" "shard 2 of 2, by SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT" \
  SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 ENVIRONMENT=BATCH SLURM_PROCID=0 SLURM_NTASKS=4
auto "mpirun" "shard 1 of 2, by OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE" \
  OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2 ENVIRONMENT=BATCH SLURM_STEP_NUM_TASKS=1 SLURM_PROCID=0 SLURM_NTASKS=9
auto "mpiexec" "shard 4 of 4, by PMI_RANK and PMI_SIZE" PMI_RANK=3 PMI_SIZE=4
auto "an indexed job" "shard 8 of 8, by JOB_COMPLETION_INDEX and JOB_COMPLETIONS" JOB_COMPLETION_INDEX=7 JOB_COMPLETIONS=8
auto "no cluster" "xtransplant sweep: --shard auto: no cluster's variables are set, such as SLURM_ARRAY_TASK_ID, SLURM_PROCID, OMPI_COMM_WORLD_RANK, PMI_RANK or JOB_COMPLETION_INDEX; give --shard K/N"
expect "auto: no cluster, as usage" 2
auto "no count" "xtransplant sweep: --shard auto: JOB_COMPLETIONS is not set; it has to be the number of shards" JOB_COMPLETION_INDEX=7
auto "no number" "xtransplant sweep: --shard auto: PMI_RANK is 'x', not a number" PMI_RANK=x PMI_SIZE=2
auto "out of range" "xtransplant sweep: --shard auto: PMI_RANK is 2, none of 2 numbers from 0 on with a step of 1; give --shard K/N" PMI_RANK=2 PMI_SIZE=2

# ---- what a shard is
"$X" $sweep --quiet -o whole.db && "$X" export whole.db >whole.jsonl || fail "the whole sweep"
for k in 1 2 3; do
  PMI_RANK=$((k - 1)) PMI_SIZE=3 "$X" $sweep --quiet --shard auto -o 'part-%k-of-%n.db' || fail "shard $k"
done
same "shards have as many questions" "$(for k in 1 2 3; do "$X" export part-$k-of-3.db | grep -c vanilla; done | tr '\n' ' ')" "20 20 20 "
"$X" merge joined.db part-?-of-3.db --quiet
"$X" export joined.db | cmp -s - whole.jsonl && pass "shards merged export as one sweep" || fail "shards merged export as one sweep"
# a file of a version that dealt by turns and did not say so
cp part-1-of-3.db old.db
run "$X" $sweep --quiet --shard 1/3 -o old.db --json
same "a finished shard is finished" "$code $(field computed <out)" "0 0"
LC_ALL=C sed -i 's/deal/dale/' old.db
run "$X" $sweep --quiet --shard 1/3 -o old.db --json
"$X" export old.db | grep vanilla | sed 's/.*"doc_id": "q\([0-9]*\)".*/\1/' >asked
turns=0 i=0
while [ $i -lt 60 ]; do grep -qx $i asked && turns=$((turns + 1)); i=$((i + 3)); done
same "an earlier version's shard goes on by turns" "$code $turns" "0 20"

# ---- under mpirun
if ! command -v mpirun >/dev/null; then skip "ranks of mpirun are shards" "mpirun"
else
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # Open MPI's own names
  run mpirun --oversubscribe -n 3 "$X" $sweep --quiet --shard auto -o 'rank-%k.db'
  expect "mpirun" 0
  "$X" merge ranks.db rank-1.db rank-2.db rank-3.db --quiet
  "$X" export ranks.db | cmp -s - whole.jsonl && pass "ranks of mpirun are shards" || fail "ranks of mpirun are shards"
fi

# ---- the scripts
check=sh\ -n
command -v shellcheck >/dev/null && check="shellcheck -s sh"
for script in "$source_folder"/cluster/*.sh; do
  run $check "$script"
  expect "${check%% *}: $(basename "$script")" 0
done
same "kubernetes.yaml: the count is said twice alike" "$(sed -n 's/^  completions: //p' "$source_folder/cluster/kubernetes.yaml")" \
  "$(sed -n 's/.*JOB_COMPLETIONS, value: "\([0-9]*\)".*/\1/p' "$source_folder/cluster/kubernetes.yaml")"

# ---- GNU parallel, with this machine as its only host: a first try in which the second shard fails, and a second one
gnu_parallel() {
  mkdir machines && echo : >machines/hosts && cd machines || return
  cp ../pairs.jsonl "two words.jsonl"
  printf '#!/bin/sh\ncase "$*" in *2/3*) [ -e tried ] || { touch tried; exit 1; } ;; esac\nexec "%s" "$@"\n' "$X" >xtransplant
  chmod 755 xtransplant
  set -- -m "$model" --threads 1 --pairs "two words.jsonl" --site attn --max-new-tokens 4 --quiet
  run env PATH="$PWD:$PATH" N=3 HOSTS=hosts sh "$source_folder/cluster/parallel.sh" "$@"
  same "parallel: a shard that failed is a failure, and nothing is merged" "$code $(ls ./*.db)" "1 ./shard-1-of-3.db
./shard-3-of-3.db"
  run env PATH="$PWD:$PATH" N=3 HOSTS=hosts sh "$source_folder/cluster/parallel.sh" "$@"
  expect "parallel: the same command goes on" 0
  "$X" export results.db | cmp -s - ../whole.jsonl && pass "parallel: the merged export is that of one sweep" ||
    fail "parallel: the merged export is that of one sweep" "$(cat "$work/err")"
  cd "$work" || exit 1
}
if parallel --version 2>/dev/null | grep -q '^GNU parallel'; then gnu_parallel
else skip "a sweep by GNU parallel" "GNU parallel (Debian: parallel)"; fi

# ---- a Slurm of one machine, with its own configuration and ports
write_slurm_conf() {
  port=$((20000 + $$ % 20000))
  node=$(hostname -s)
  cat >slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/slurm/munge.socket
SlurmctldPort=$port
SlurmdPort=$((port + 1))
StateSaveLocation=$work/slurm/state
SlurmdSpoolDir=$work/slurm/spool
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmdPidFile=$work/slurm/slurmd.pid
SlurmctldLogFile=$work/slurm/slurmctld.log
SlurmdLogFile=$work/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
MpiDefault=none
NodeName=$node NodeAddr=127.0.0.1 CPUs=3 RealMemory=65536 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
}

start_slurm() {
  chmod 755 "$work" # munged refuses a socket that others cannot reach
  mkdir -p slurm/state slurm/spool
  head -c 1024 /dev/urandom >slurm/key && chmod 400 slurm/key
  write_slurm_conf
  export SLURM_CONF="$work/slurm/slurm.conf"
  munged --key-file="$work/slurm/key" --socket="$work/slurm/munge.socket" --pid-file="$work/slurm/munge.pid" \
    --log-file="$work/slurm/munge.log" --seed-file="$work/slurm/seed" >/dev/null 2>&1 && slurmctld -c && slurmd || return 1
  tries=0
  until sinfo -h 2>/dev/null | grep -q idle; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || return 1
    sleep 0.1
  done
}

# The pending jobs that are to begin more than ten seconds from now, as squeue names them: the job id of an array's last task is that
# of the whole array. Times are written so that they sort as text.
begin_late() {
  scontrol show job -o 2>/dev/null | awk -v soon="$(date -d '10 seconds' +%FT%T)" '{
    split("", value)
    for (i = 1; i <= NF; i++) { at = index($i, "="); value[substr($i, 1, at - 1)] = substr($i, at + 1) }
    if (value["JobState"] == "PENDING" && value["EligibleTime"] ~ /^[0-9]/ && value["EligibleTime"] > soon)
      print ("ArrayTaskId" in value) ? value["ArrayJobId"] "_" value["ArrayTaskId"] : value["JobId"] }'
}

# Until COUNT jobs have come to a good end, for three minutes; prints the states and the controller's log if they have not. (That
# squeue lists none says less: so does a controller that is too busy to answer.) Slurm starts a job that queued again two minutes
# later, unless it is told to start it sooner: it is told to in two seconds, for a job that begins in the second in which it was
# ended is never launched, and once, for the scheduler passes over a job that is always about to begin.
wait_for_jobs() {
  end=$(($(date +%s) + 180))
  until [ "$(scontrol show job -o 2>/dev/null | grep -c 'JobState=COMPLETED')" -eq "$1" ]; do
    [ "$(date +%s)" -lt $end ] || { scontrol show job -o; tail -n 100 slurm/slurmctld.log; return; }
    for job in $(begin_late); do scontrol update JobId="$job" StartTime=now+2; done
    sleep 0.2
  done
}

# What the scripts run: the program; but the first time that a task to be stopped begins, the program is let go
# by moments until it has a response, and then stands still, however fast or slow the machine is. held/TASK then has its pid: 6 and 7
# of the array, 1 of srun.
# It is looked at while it runs, for a program that stands still may lock its file.
write_held_program() {
  mkdir held
  cat >held/xtransplant <<PROGRAM
#!/bin/sh
hold() {
  until [ "\$("$X" export \$3 2>/dev/null | wc -l)" -gt 0 ]; do
    kill -STOP \$1 || return
    sleep 0.1
    kill -CONT \$1
    sleep 0.02
  done
  kill -STOP \$1 && echo \$1 >held/new-\$2 && mv held/new-\$2 held/\$2
}
task=\${SLURM_ARRAY_TASK_ID:-\$SLURM_PROCID}
case \${SLURM_RESTART_COUNT:-0}.\$task in
  0.6 | 0.7) hold \$\$ \$task results/shard-\$((task - 4))-of-3.db >/dev/null 2>&1 & ;;
  0.1) hold \$\$ \$task tasks/shard-2-of-3.db >/dev/null 2>&1 & ;;
esac
exec "$X" "\$@"
PROGRAM
  chmod 755 held/xtransplant
}

# until COMMAND...: tries it for a minute
until_true() {
  tries=0
  until "$@" || [ $tries -ge 600 ]; do sleep 0.1; tries=$((tries + 1)); done
}
waits_for_it() { # whether a program that stands still has a SIGUSR1 to come (the tenth bit)
  [ "$(sed -n 's/^S[a-z]*Pnd:.*\(.\)..$/\1/p' "/proc/$1/status" | tr -d '014589cd\n')" != "" ]
}

slurm_array() {
  write_held_program
  "$X" sweep -m "$model" --quiet --pairs pairs.jsonl --site attn,block -o long.db && "$X" export long.db >long.jsonl
  array=$(sbatch --parsable --array=5-7 --cpus-per-task=1 --output="$work/array-%a.log" "$source_folder/cluster/slurm_array.sh" \
    -m "$model" --pairs "$work/pairs.jsonl" --site attn,block --max-rows 2 --commit-seconds 0) || fail "sbatch"
  # what Slurm does before the limit, to one task; what an administrator does, to another
  until_true test -s held/6
  scancel --signal=USR1 --batch "$(squeue -h -j "${array}_6" -o %A)"
  until_true waits_for_it "$(cat held/6)"
  kill -CONT "$(cat held/6)"
  until_true test -s held/7
  scontrol requeue "${array}_7"
  same "Slurm: all tasks end" "$(wait_for_jobs 3)" ""
  same "Slurm: both tasks began twice" "$(grep -c 'shard . of 3, by SLURM_ARRAY_TASK_ID' array-5.log array-6.log array-7.log | tr '\n' ' ')" \
    "array-5.log:1 array-6.log:2 array-7.log:2 "
  grep -q 'sweep: stopped' array-6.log && pass "Slurm: a signal before the limit stops a task" || fail "Slurm: a signal before the limit stops a task" "$(cat array-6.log)"
  "$X" merge slurm.db results/shard-?-of-3.db --quiet
  "$X" export slurm.db | cmp -s - long.jsonl && pass "Slurm: the merged export is that of one sweep" ||
    fail "Slurm: the merged export is that of one sweep" "$(cat array-*.log)"
}

# The tasks of one job, of which Slurm signals all before the limit: one is still at work then.
slurm_srun() {
  job=$(XT_RESULTS=$work/tasks sbatch --parsable --ntasks=3 --cpus-per-task=1 --output="$work/srun.log" "$source_folder/cluster/slurm_srun.sh" \
    -m "$model" --pairs "$work/pairs.jsonl" --site attn,block --max-rows 2 --commit-seconds 0) || fail "sbatch"
  until_true test -s held/1
  scancel --signal=USR1 "$job"
  until_true waits_for_it "$(cat held/1)"
  kill -CONT "$(cat held/1)"
  same "srun: the job ends" "$(wait_for_jobs 4)" ""
  same "srun: it began twice" "$(grep -c 'shard 2 of 3, by SLURM_PROCID' srun.log)" 2
  "$X" merge tasks.db tasks/shard-?-of-3.db --quiet
  "$X" export tasks.db | cmp -s - long.jsonl && pass "srun: tasks are shards" || fail "srun: tasks are shards" "$(cat srun.log)"
}

PATH=$work/held:$XT_BUILD:$PATH:/usr/sbin
if [ "$(id -u)" -ne 0 ]; then skip "an array of a real Slurm" "root"
elif ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
  skip "an array of a real Slurm" "slurmctld, slurmd and munged (Debian: slurm-wlm, munge)"
elif ! start_slurm; then skip "an array of a real Slurm" "a machine that Slurm starts on: $(tail -1 slurm/slurmctld.log slurm/slurmd.log 2>/dev/null | tr '\n' ' ')"
else
  slurm_array
  slurm_srun
fi
finish
