# shellcheck shell=bash disable=SC2154 # story.sh has the variables
# Pods come, go and move. Whether all is under its right name is judged at the end, over the whole story.
churn() {
    apply_agent 'rate = 97'
    ask 0.5
    kubectl -n shop-a scale deployment/web --replicas=20 >/dev/null
    rolled_out shop-a deployment/web
    ask 0.5
    say "20 pods"
    sleep 10
    kubectl -n shop-a scale deployment/web --replicas=2 >/dev/null
    sleep 5
    ask 0.1
    kubectl -n shop-b rollout restart deployment/web >/dev/null
    rolled_out shop-b deployment/web
    ask 0.1
    say "rolled over"
    # Containers that are added to a pod while it runs.
    kubectl -n shop-a debug pair-0 -q --image=localhost/python:1 -c visitor \
        --env=CONTAINER=visitor --env=POD_UID="$(kubectl -n shop-a get pod pair-0 -o jsonpath='{.metadata.uid}')" \
        -- python3 -S -c "$(cat "$here/workloads/work.py")" burn 3 >"$work/debug.log" 2>&1 ||
        { cat "$work/debug.log" && return 1; }
    now >"$work/visited"
    sleep 10
    kubectl drain "$node" --ignore-daemonsets --delete-emptydir-data --force --timeout=120s >/dev/null 2>&1
    say "drained"
    sleep 3
    kubectl uncordon "$node" >/dev/null
    for what in deployment/web deployment/sieve statefulset/pair; do rolled_out shop-a "$what"; done
    rolled_out shop-b deployment/web
    ask 0.1
    say "back again"
    # Long enough for two turns of the job.
    sleep 75
    settle
}
