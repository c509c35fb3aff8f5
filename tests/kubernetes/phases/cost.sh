# shellcheck shell=bash disable=SC2154 # story.sh has the variables
# What the agent takes of CPU and memory with 30 pods on the node, at its usual rate.
cost() {
    apply_agent 'rate = 19'
    kubectl -n shop-a scale deployment/web --replicas=20 >/dev/null
    rolled_out shop-a deployment/web
    local more
    more=$((30 - $(kubectl get pods -A --field-selector=status.phase=Running -o name | wc -l)))
    [ "$more" -le 0 ] || kubectl -n shop-b scale deployment/web --replicas=$((2 + more)) >/dev/null
    rolled_out shop-b deployment/web
    ask 0.2
    sleep 20
    kubectl get pods -A --field-selector=status.phase=Running -o name | wc -l >"$work/running"
    "$python" -E -s -B "$here/window.py" "$work" cost 60
    for namespace in shop-a shop-b; do
        kubectl -n "$namespace" scale deployment/web --replicas=2 >/dev/null
        rolled_out "$namespace" deployment/web
    done
    settle
    judge cost
}
