# shellcheck shell=bash
# One namespace is opted out by its pods' annotation, and in again.
choice() {
    apply_agent 'rate = 97'
    ask 0.05
    sleep 5
    local out in
    kubectl -n shop-b annotate pods --all strata.dev/profile=false >/dev/null
    out=$(now)
    say "shop-b is opted out"
    sleep 15
    kubectl -n shop-b annotate pods --all strata.dev/profile- >/dev/null
    in=$(now)
    say "and in again"
    sleep 15
    settle
    echo "$out $in $(now)" >"$work/choice"
    judge choice
}
