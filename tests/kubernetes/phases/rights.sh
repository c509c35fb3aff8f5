# shellcheck shell=bash disable=SC2154 # story.sh has the variables
# The agent with all of the manifest's rights, and once without each: what stops working.
readonly RIGHTS=(BPF PERFMON SYS_PTRACE DAC_READ_SEARCH SYSLOG CHECKPOINT_RESTORE)
rights() {
    ask 0.05
    mkdir -p "$work/rights"
    now >"$work/rights/begin"
    kubectl -n shop-a apply -f "$here/workloads/rights.yaml" >/dev/null
    local without
    for without in nothing "${RIGHTS[@]}"; do
        one_without "$without"
    done
    judge rights
}
one_without() {
    local without=$1 kept right began pod folder=$work/rights/$1
    mkdir -p "$folder"
    kept=$(for right in "${RIGHTS[@]}"; do [ "$right" = "$without" ] || printf '"%s",' "$right"; done)
    rm -rf "$work/tree" && mkdir -p "$work/tree/tests/kubernetes"
    cp -r "$root/deploy" "$work/tree/" && cp -r "$here/agent" "$work/tree/tests/kubernetes/"
    sed -i 's/^rate.*/rate = 97/' "$work/tree/tests/kubernetes/agent/strata.toml"
    cat >>"$work/tree/tests/kubernetes/agent/kustomization.yaml" <<YAML
  - target: {kind: DaemonSet, name: strata-agent}
    patch: |-
      - {op: replace, path: /spec/template/spec/containers/0/securityContext/capabilities/add, value: [${kept%,}]}
YAML
    # Not over what is there: an agent that never gets ready would hold the next rollout up.
    kubectl -n strata delete daemonset strata-agent --ignore-not-found --cascade=foreground >/dev/null
    kubectl apply -k "$work/tree/tests/kubernetes/agent" >/dev/null
    kubectl -n strata rollout status ds/strata-agent --timeout=45s >/dev/null 2>&1 && echo yes >"$folder/ready" ||
        echo no >"$folder/ready"
    began=$(now)
    # A program that nobody has executed yet, so that nothing of it is known from before.
    kubectl -n shop-a rollout restart deployment/sieve deployment/web deployment/hidden >/dev/null
    rolled_out shop-a deployment/sieve
    rolled_out shop-a deployment/web
    rolled_out shop-a deployment/hidden
    ask 0.05
    sleep 20
    echo "$began $(now)" >"$folder/window"
    pod=$(agent_pod)
    kubectl -n strata logs "$pod" --tail=200 >"$folder/log" 2>&1 || true
    kubectl -n strata logs "$pod" --previous --tail=20 >>"$folder/log" 2>/dev/null || true
    timeout 60 kubectl -n strata exec "$pod" -- /strata doctor >"$folder/doctor" 2>&1 || true
    say "without $without: ready $(cat "$folder/ready")"
    settle
}
