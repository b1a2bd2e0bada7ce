#!/bin/bash
# A search on a Slurm cluster: one job, one Ray over all of its nodes. From the top of the repository, on the login node:
#     make install EXTRAS=demo                         # once; on a disk that the nodes see, as the home is
#     sbatch cluster/slurm.sh --space speech4 --data FOLDER
#     tail -f slurm-JOB.out
#     sbatch cluster/slurm.sh --resume NAME            # after the time limit; the job's last line says it
# What follows the file's name goes to `tune-audio search`. Five minutes before the limit the search is told to stop; a job
# that Slurm queues again, after a node failed, goes on with its run.
#SBATCH --job-name=tune_audio
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=32G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
set -euo pipefail

export PATH="$PWD/.venv/bin:$PATH"
# Inherited by the workers. Threads that wait sleep; memory comes in large pages.
export RAY_AUTH_MODE=token OMP_WAIT_POLICY=passive THP_MEM_ALLOC_ENABLE=1
# A node that died is noticed after half a minute; by Ray's defaults it takes a whole one.
export RAY_health_check_timeout_ms=5000 RAY_health_check_failure_threshold=3

# Other users of these nodes reach Ray's ports. Who has not got the token is refused.
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
[ -s "$token" ] || (umask 077 && ray get-auth-token --generate >/dev/null)
chmod 600 "$token"

name=slurm-$SLURM_JOB_ID
set -- "$@" --name "$name"
for ((i = 1; i < $# - 1; i++)); do
    following=$((i + 1))
    case ${!i} in
        --name | --resume) name=${!following} ;;
        --name=* | --resume=*) name=${!i#*=} ;;
        *) continue ;;
    esac
    set -- "${@:1:$#-2}" # it has one
    break
done
# Queued again: on with what there is.
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && [ -f "${TUNE_AUDIO_RUNS:-runs}/$name/space.yaml" ]; then
    set -- --resume "$name"
fi

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
# A port of this job's own, for two jobs may meet on a node.
RAY_ADDRESS=$(python -c 'import ray.util; print(ray.util.get_node_ip_address())'):$((20000 + SLURM_JOB_ID % 10000))
scratch=/tmp/ray-$SLURM_JOB_ID

driver=
# shellcheck disable=SC2046 # process ids
trap 'kill -TERM $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
trap 'echo "Slurm ends this job soon: the search is told to stop"; [ -z "$driver" ] || kill -INT "$driver"' TERM

# This script runs on the first node, which leads. RAY_ADDRESS would make it join itself.
ray start --head --block --port="${RAY_ADDRESS##*:}" --node-ip-address="${RAY_ADDRESS%:*}" --num-cpus="$cpus" \
    --temp-dir="$scratch" --include-dashboard=false --disable-usage-stats >>"$name-ray.log" 2>&1 &
export RAY_ADDRESS
for _ in {1..60}; do
    ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1 && break
    sleep 1
done
if [ ${#nodes[@]} -gt 1 ]; then
    # A node that fails does not end the others.
    srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --ntasks-per-node=1 --cpus-per-task="$cpus" \
        --exclude="${nodes[0]}" --kill-on-bad-exit=0 \
        ray start --block --address="$RAY_ADDRESS" --num-cpus="$cpus" --disable-usage-stats >>"$name-ray.log" 2>&1 &
fi

set -m # else bash would make it deaf to the interrupt above
tune-audio search "$@" &
driver=$!
set +m
code=0
wait "$driver" || code=$?
while kill -0 "$driver" 2>/dev/null; do # the warning ended the wait, not the search
    code=0
    wait "$driver" || code=$?
done
[ "$code" = 0 ] || echo "Exit code $code. Go on with: sbatch cluster/slurm.sh --resume $name"
exit "$code"
