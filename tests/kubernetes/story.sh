#!/usr/bin/env bash
# An operator's story on a real Kubernetes: one `kubectl apply -k`, and each pod's functions are at the Collector under the
# pod's own names. Pods come, go, move, are left out; the agent, kubelet and containerd end and come back; rights are taken
# away one by one. judge.py compares what the Collector wrote with what kubectl, the cgroups and the services' own clocks say.
#
#   cargo xtask e2e-k8s                 brings the cluster up and runs this
#   tests/kubernetes/story.sh [PHASE…]  the same, on the cluster that is up; phases: accuracy churn choice cost faults rights
#
# $IMAGE is a tar of the agent's image as `docker save` writes it, or the static program itself; $XTASK is xtask's program.
# The cluster's folder keeps all that was written: /var/lib/strata-cluster/story.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
phases=("$@")
[ $# -gt 0 ] || phases=(accuracy churn choice cost faults rights)
xtask=${XTASK:?names the program of cargo xtask}
image=${IMAGE:?names the image of the agent, or its program}
cluster=/var/lib/strata-cluster
cache=${STRATA_TEST_DIR:-/var/cache/strata-test}
python=${PYTHON:-/usr/bin/python3}
# What kubectl keeps goes with the cluster, and not into a home.
export KUBECONFIG=$cluster/admin.kubeconfig KUBECACHEDIR=$cluster/kubectl-cache
PATH=$cache/kubernetes/$(cat "$cluster/version"):$PATH
work=$cluster/story
cd "$root"
received=$work/received/profiles.json
# shellcheck disable=SC2034 # of phases
node=strata-node

running=()
# shellcheck disable=SC2317 # called by the trap
cleanup() {
    local code=$? pid
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    if [ "$code" -ne 0 ]; then
        echo "-- pods:" && kubectl get pods -A -o wide 2>&1 | head -n 60
        echo "-- the agent's last words:" && kubectl -n strata logs ds/strata-agent --tail=20 2>&1 || true
    fi
    exit "$code"
}
trap cleanup EXIT

say() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
now() { date +%s%N; }
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "story.sh: \`$*\` does not come true" >&2 && return 1; }
        sleep 0.5
    done
}
load() { # FILE TAG [ARGUMENT]: an image, or a program of which one is made
    if [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; then
        "$xtask" cluster load --program "$1" --tag "$2" ${3:+--argument "$3"}
    else
        "$xtask" cluster load "$1"
    fi >/dev/null
}
rolled_out() { kubectl -n "$1" rollout status "$2" --timeout=180s >/dev/null; }
agent_pod() { kubectl -n strata get pods -l app.kubernetes.io/component=agent -o jsonpath='{.items[0].metadata.name}'; }
agent_process() {
    local uid pid
    uid=$(kubectl -n strata get pod "$(agent_pod)" -o jsonpath='{.metadata.uid}')
    # The pause container is in a cgroup of its own beside it.
    # shellcheck disable=SC2013 # a number a line
    for pid in $(awk -v uid="$uid" '$5 == uid { print $3 }' "$work/processes" | sort -u); do
        case $(readlink "/proc/$pid/exe" 2>/dev/null) in */strata) echo "$pid" ;; esac
    done
}
# The agent's settings are tests/kubernetes/agent/strata.toml with these lines instead of its rate.
# shellcheck disable=SC2120 # phases give some
apply_agent() {
    rm -rf "$work/tree" && mkdir -p "$work/tree/tests/kubernetes"
    cp -r "$root/deploy" "$work/tree/" && cp -r "$here/agent" "$work/tree/tests/kubernetes/"
    if [ $# -gt 0 ]; then
        sed -i '/^rate/d' "$work/tree/tests/kubernetes/agent/strata.toml"
        printf '%s\n' "$@" >>"$work/tree/tests/kubernetes/agent/strata.toml"
    fi
    kubectl apply -k "$work/tree/tests/kubernetes/agent" >/dev/null
    rolled_out strata ds/strata-agent
}
# Which web pods are asked, and with how long a pause.
ask() {
    echo "$1" >"$work/drive/pause"
    kubectl get pods -A -l app=web -o jsonpath='{range .items[*]}{.status.podIP}{"\n"}{end}' >"$work/drive/pods"
}
# What was sampled is at the Collector an interval later; the last batch of a window has to be there before it is judged.
settle() { sleep 14; }
judge() { "$python" -E -s -B "$here/judge.py" "$work" "$@" || failed+=("$1"); }
failed=()

# All that the API server tells of a kind, also when it was away for a while.
write_down() {
    local child=
    trap 'kill "$child" 2>/dev/null; exit' TERM
    while :; do
        kubectl get "$1" -A -w -o json --output-watch-events >>"$work/$1.json" 2>>"$work/kubectl.log" &
        child=$!
        wait "$child" || true
        sleep 0.5
    done
}

setup() {
    # What another story left holds files open that are about to go.
    kubectl delete namespace strata observability shop-a shop-b shop-c --ignore-not-found >/dev/null
    rm -rf "$work" && mkdir -p "$work/drive" "$work/programs" "$work/received" && chmod 777 "$work/received"
    say "images"
    load "$image" localhost/strata:dev agent
    load "${OTELCOL:-$cache/bin/otelcol}" localhost/otelcol:1
    gcc -O2 -g -Wall -static -pthread -o "$work/programs/sieve" "$here/workloads/sieve.c"
    load "$work/programs/sieve" localhost/sieve:1
    # The same work, as a library that nothing else maps.
    gcc -O2 -g -Wall -shared -fPIC -pthread -o "$work/programs/deleted.so" "$here/workloads/sieve.c"
    # From here on all that happens is written down.
    for kind in pods replicasets jobs; do
        write_down "$kind" &
        running+=($!)
    done
    for namespace in observability shop-a shop-b shop-c; do
        kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
    done
    kubectl -n observability apply -f "$here/workloads/collector.yaml" >/dev/null
    for namespace in shop-a shop-b shop-c; do
        kubectl -n "$namespace" create configmap work --from-file="$here/workloads/work.py" --dry-run=client -o yaml |
            kubectl -n "$namespace" apply -f - >/dev/null
    done
    for namespace in shop-a shop-b; do
        kubectl -n "$namespace" apply -f "$here/workloads/web.yaml" >/dev/null
    done
    kubectl -n shop-a apply -f "$here/workloads/others.yaml" >/dev/null
    "$python" -E -s -B "$here/watch.py" "$work/processes" &
    running+=($!)
    "$python" -E -s -B "$here/drive.py" "$work/drive" &
    running+=($!)
    # One that is in no pod.
    CONTAINER=host "$python" -E -s -B "$here/workloads/work.py" burn 1000000 >/dev/null &
    running+=($!)
    for namespace in shop-a shop-b; do rolled_out "$namespace" deployment/web; done
    rolled_out shop-a deployment/sieve
    rolled_out shop-a statefulset/pair
    rolled_out observability daemonset/collector
    ask 0.01
    say "the services work"
}

for phase in "${phases[@]}"; do
    # shellcheck source=/dev/null
    source "$here/phases/$phase.sh"
done
setup
say "kubectl apply -k"
# shellcheck disable=SC2119 # as it is
apply_agent
say "the agent is ready"
until_true 60 test -s "$received"
say "its first batch is at the Collector"
# Once more, so that its init container is sampled too.
kubectl -n shop-a rollout restart statefulset/pair >/dev/null
rolled_out shop-a statefulset/pair
for phase in "${phases[@]}"; do
    say "== $phase"
    "$phase"
done
say "== what can be written to"
cp "/proc/$(agent_process)/mountinfo" "$work/mounts"
judge writable
say "== names"
judge names
[ ${#failed[@]} -eq 0 ] || { say "WRONG: ${failed[*]}" && exit 1; }
say "all of it holds"
