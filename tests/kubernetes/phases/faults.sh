# shellcheck shell=bash disable=SC2154 # story.sh has the variables
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
    fault "the agent's pod is evicted" to_another_pod evict
    fault "its settings change" to_another_pod apply_agent 'rate = 97' 'log-level = "info,strata=debug"'
    fault "its image is upgraded" to_another_pod upgrade
    fault "the API server is away for 20 s" restart kube-apiserver 20
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
# Each fault has to have happened, or nothing is shown by what was sampled meanwhile.
agent_uid() { kubectl -n strata get pod "$(agent_pod)" -o jsonpath='{.metadata.uid}'; }
agent_restarts() { kubectl -n strata get pod "$(agent_pod)" -o jsonpath='{.status.containerStatuses[0].restartCount}'; }
agent_killed() {
    local uid before
    uid=$(agent_uid)
    before=$(agent_restarts)
    kill -KILL "$(agent_process)"
    until_true 60 restarted_to $((before + 1))
    [ "$(agent_uid)" = "$uid" ] || { echo "story.sh: the agent's pod went, not its process alone" >&2 && return 1; }
}
restarted_to() { [ "$(agent_restarts)" = "$1" ]; }
to_another_pod() { # COMMAND…
    local before
    before=$(agent_uid)
    "$@"
    rolled_out strata ds/strata-agent
    until_true 60 another_pod "$before"
}
another_pod() {
    local found
    found=$(agent_uid 2>/dev/null) && [ -n "$found" ] && [ "$found" != "$1" ]
}
restart() { # NAME [SECONDS]: it is away for so long
    local pid
    pid=$(pid_of "$1")
    kill "$pid"
    # It may take a while over its goodbyes.
    until_true 90 ended "$pid"
    sleep "${2:-3}"
    "$xtask" cluster up --version "$(cat "$cluster/version")" >/dev/null
    [ "$(pid_of "$1")" != "$pid" ] || { echo "story.sh: $1 was not started anew" >&2 && return 1; }
    kill -0 "$(pid_of "$1")"
}
pid_of() { cut -d' ' -f1 "$cluster/pids/$1"; }
ended() { # Whoever started it may not have asked yet how it ended.
    [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}
evict() {
    local pod
    pod=$(agent_pod)
    printf '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"%s","namespace":"strata"}}' "$pod" \
        >"$work/eviction.json"
    kubectl create --raw "/api/v1/namespaces/strata/pods/$pod/eviction" -f "$work/eviction.json" >/dev/null
    until_true 60 gone "$pod"
}
gone() { ! kubectl -n strata get pod "$1" >/dev/null 2>&1; }
upgrade() {
    "$xtask" cluster tag localhost/strata:dev localhost/strata:next >/dev/null
    kubectl -n strata set image ds/strata-agent agent=localhost/strata:next >/dev/null
}
