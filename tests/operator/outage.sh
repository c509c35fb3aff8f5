#!/usr/bin/env bash
# An operator's story: a Collector, an agent that ships to it, a program that clocks itself; the Collector goes away and
# comes back. Afterwards the Collector's file has to hold every second of the program, the share of each of its functions,
# and all of the CPU time that its cgroup was charged with; and `strata report` has to say the same of the local store.
#
#   sudo tests/operator/outage.sh [--outage SECONDS] [--around SECONDS] [--protocol grpc|http/protobuf] [--rate HZ]
#                                 [--crash] [--load]
#
# --around: how long the Collector is there before and after (default 20). --crash: the agent is killed in the middle of
# the outage and started again. --load: other programs compete for all CPUs. $STRATA names the binary (default: strata in
# the PATH), $OTELCOL the Collector. Exit code 0: all of it holds.
set -euo pipefail
export LC_ALL=C

outage=60 around=20 protocol=grpc rate=19 crash= load=
while [ $# -gt 0 ]; do
    case $1 in
    --outage) outage=$2 && shift ;;
    --around) around=$2 && shift ;;
    --protocol) protocol=$2 && shift ;;
    --rate) rate=$2 && shift ;;
    --crash) crash=yes ;;
    --load) load=yes ;;
    *) echo "outage.sh: $1 is not understood; the head of this file says what is." >&2 && exit 2 ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")" && pwd)
strata=${STRATA:-strata}
otelcol=${OTELCOL:-${STRATA_TEST_DIR:-/var/cache/strata-test}/bin/otelcol}
python=${PYTHON:-/usr/bin/python3}
# The agent takes its settings from such variables, and refuses those that mean nothing to it.
unset "${!STRATA_@}" "${!OTEL_@}"

work=$(mktemp -d)
running=()
cgroup=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    local code=$? pid
    {
        for pid in "${running[@]}"; do kill -KILL "$pid" || true; done
        wait || true
        [ -z "$cgroup" ] || rmdir "$cgroup" || true
    } >/dev/null 2>&1
    if [ "$code" -ne 0 ]; then
        echo "-- the agent's last words:" && tail -n 20 "$work/agent.log"
        echo "-- the Collector's:" && tail -n 5 "$work/collector.log"
    fi
    rm -rf "$work"
    exit "$code"
}
trap cleanup EXIT

free_port() { "$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# until SECONDS COMMAND…: tries until it succeeds.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "outage.sh: \`$*\` does not come true" >&2 && return 1; }
        sleep 0.2
    done
}
say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

grpc=$(free_port) http=$(free_port) metrics=$(free_port)
cat >"$work/collector.yaml" <<YAML
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:$grpc"}, http: {endpoint: "127.0.0.1:$http"}}}}
exporters: {file: {path: $work/profiles.json, append: true, flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {profiles: {receivers: [otlp], exporters: [file]}}
YAML
start_collector() {
    "$otelcol" --config "$work/collector.yaml" --feature-gates=service.profilesSupport >>"$work/collector.log" 2>&1 &
    collector=$!
    running+=("$collector")
    until_true 30 bash -c "exec 3<>/dev/tcp/127.0.0.1/$grpc" 2>/dev/null
}
stop_collector() {
    kill -TERM "$collector"
    wait "$collector" || true
}
start_agent() {
    local port=$grpc
    [ "$protocol" = grpc ] || port=$http
    "$strata" agent --store "$work/store" --rate "$rate" --listen "127.0.0.1:$metrics" \
        --otlp-endpoint "http://127.0.0.1:$port" --otlp-protocol "$protocol" >>"$work/agent.log" 2>&1 &
    agent=$!
    running+=("$agent")
    echo "$agent" >"$work/agent.pid"
    until_true 60 ready
}
get() { "$python" -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())' "http://127.0.0.1:$metrics$1" 2>/dev/null; }
ready() { get /readyz >"$work/ready" || { kill -0 "$agent" 2>/dev/null || exit 1; false; }; }

# A cgroup of its own, whose usage is the other truth.
for usage in cpuacct/:cpuacct.usage unified/:cpu.stat :cpu.stat; do
    folder=/sys/fs/cgroup/${usage%%:*}strata-operator-$$
    mkdir "$folder" 2>/dev/null || continue
    cgroup=$folder
    usage_file=$folder/${usage##*:}
    [ -e "$usage_file" ] && break
    rmdir "$folder" && cgroup=
done
[ -n "$cgroup" ] || { echo "outage.sh: no cgroup that counts CPU time can be made" >&2 && exit 1; }
usage_ns() { awk '$1 == "usage_usec" { print $2 * 1000; exit } NF == 1 { print $1; exit }' "$usage_file"; }

# What the agent takes of memory, once a second.
watch_memory() {
    while sleep 1; do
        awk '$1 == "RssAnon:" { print $2 }' "/proc/$(cat "$work/agent.pid")/status" >>"$work/memory" || true
    done 2>/dev/null
}

start_collector
say "the Collector listens"
start_agent
watch_memory &
running+=($!)
say "the agent samples"
mkfifo "$work/go"
workload=$here/../workloads/python/shares.py
seconds=$((2 * around + outage))
bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$cgroup" \
    "$python" -E -s -B "$workload" --seconds $((seconds + 120)) <"$work/go" >"$work/truth" 2>>"$work/agent.log" &
program=$!
running+=("$program")
exec 5>"$work/go"
until_true 20 grep -q ready "$work/truth"
if [ -n "$load" ]; then
    for _ in $(seq "$(nproc)"); do
        nice -n 10 "$python" -E -s -c 'while True: sum(range(1000))' &
        running+=($!)
    done
fi
used=$(usage_ns) began=$(date +%s%N)
echo go >&5
say "the program works"
sleep "$around"
stop_collector
say "the Collector is gone"
if [ -n "$crash" ]; then
    sleep $((outage / 2))
    kill -KILL "$agent"
    wait "$agent" || true
    start_agent
    say "the agent was killed, and samples again"
    sleep $((outage - outage / 2))
else
    sleep "$outage"
fi
start_collector
say "the Collector is back"
sleep "$around"
kill -TERM "$program"
wait "$program" || true
used=$(($(usage_ns) - used)) ended=$(date +%s%N)
say "the program has ended"
# An agent that is told to end ships what it has.
sleep 1
kill -TERM "$agent"
wait "$agent" || { say "the agent ended with $?" && exit 1; }
say "the agent has ended"
until_true 10 test -s "$work/profiles.json"
stop_collector
"$strata" report --store "$work/store" --process "$program" -o "$work/report.folded"
"$python" -E -s "$here/outage.py" "$work" --pid "$program" --rate "$rate" --began "$began" --ended "$ended" \
    --used "$used" ${crash:+--crash}
