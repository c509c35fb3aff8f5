# shellcheck shell=bash disable=SC2154 # story.sh has the variables
# Two minutes in which nothing comes or goes: shares and totals.
accuracy() {
    ask 0.01
    echo 997 >"$work/rate"
    sleep 5
    "$python" -E -s -B "$here/window.py" "$work" accuracy "${ACCURACY_SECONDS:-120}"
    # Before any of them is gone.
    mkdir -p "$work/clocks"
    kubectl get pods -A -l 'app in (web, sieve, pair)' -o jsonpath='{range .items[*]}{.metadata.namespace} {.metadata.name} {.metadata.uid} {.spec.containers[*].name}{"\n"}{end}' |
        while read -r namespace name uid containers; do
            for container in $containers; do
                kubectl -n "$namespace" logs "$name" -c "$container" --tail=400 >"$work/clocks/$uid.$container"
            done
        done
    settle
    judge shares
}
