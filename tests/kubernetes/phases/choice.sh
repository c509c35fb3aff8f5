# shellcheck shell=bash disable=SC2154 # story.sh has the variables
# One namespace is opted out by its pods' annotation, and in again. The pod of another is opted out when it is made.
choice() {
    apply_agent 'rate = 97'
    ask 0.05
    kubectl -n shop-c apply -f "$here/workloads/never.yaml" >/dev/null
    sleep 5
    local out in
    kubectl -n shop-b annotate pods --all strata.dev/profile=false >/dev/null
    out=$(now)
    say "shop-b is opted out"
    sleep 15
    in=$(now)
    kubectl -n shop-b annotate pods --all strata.dev/profile- >/dev/null
    say "and in again"
    sleep 15
    local end
    end=$(now)
    kubectl -n shop-c wait pod/never --for=jsonpath='{.status.phase}'=Succeeded --timeout=180s >/dev/null
    say "the pod that was never in has done its work"
    settle
    echo "$out $in $end" >"$work/choice"
    judge choice
}
