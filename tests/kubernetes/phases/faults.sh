# shellcheck shell=bash
# What happens to nodes. The service in C always needs CPUs, so a second without a sample of it was not sampled.
faults() {
    apply_agent 'rate = 97'
    ask 0.2
    echo 97 >"$work/rate"
    until_true 60 test -s "$received"
    : >"$work/faults"
    fault "the agent is killed" agent_killed
    fault "the kubelet restarts" restart kubelet
    fault "containerd restarts" restart containerd
    fault "the agent's pod is evicted" evict
    fault "its settings change" apply_agent 'rate = 97' 'log-level = "info,strata=debug"'
    fault "its image is upgraded" upgrade
    fault "the API server is away for 20 s" api_away
    settle
    judge faults
}
fault() { # WHAT COMMAND…
    local what=$1 began
    shift
    began=$(now)
    "$@"
    rolled_out strata ds/strata-agent
    sleep 25
    printf '%s %s %s\n' "$began" "$(now)" "$what" >>"$work/faults"
    say "$what"
}
agent_killed() {
    local uid pid
    uid=$(kubectl -n strata get pod "$(agent_pod)" -o jsonpath='{.metadata.uid}')
    # The pause container is in a cgroup of its own beside it.
    for pid in $(awk -v uid="$uid" '$5 == uid { print $3 }' "$work/processes" | sort -u); do
        case $(readlink "/proc/$pid/exe" 2>/dev/null) in */strata) kill -KILL "$pid" ;; esac
    done
    sleep 5
}
end_program() { # It may take a while over its goodbyes.
    local pid
    pid=$(cut -d' ' -f1 "$cluster/pids/$1")
    kill "$pid"
    until_true 90 ended "$pid"
}
ended() { ! kill -0 "$1" 2>/dev/null; }
restart() {
    end_program "$1"
    sleep 3
    "$xtask" cluster up --version "$(cat "$cluster/version")" >/dev/null
}
evict() {
    local pod
    pod=$(agent_pod)
    printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s","namespace":"strata"}}' "$pod" >"$work/eviction.json"
    kubectl create --raw "/api/v1/namespaces/strata/pods/$pod/eviction" -f "$work/eviction.json" >/dev/null
    until_true 60 gone "$pod"
}
gone() { ! kubectl -n strata get pod "$1" >/dev/null 2>&1; }
upgrade() {
    "$xtask" cluster tag localhost/strata:dev localhost/strata:next >/dev/null
    kubectl -n strata set image ds/strata-agent agent=localhost/strata:next >/dev/null
}
api_away() {
    end_program kube-apiserver
    sleep 20
    "$xtask" cluster up --version "$(cat "$cluster/version")" >/dev/null
}
