#!/bin/sh
# The guest's only boot script. What the host wants to know goes to the console between `@@begin NAME` and `@@end NAME`
# (xtask/src/vm/console.rs reads them); `@@done` is the last line of a run that came to its end.
export PATH=/bin HOME=/ LC_ALL=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t tracefs tracefs /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Nothing of the kernel's may land in the middle of a section; a panic is printed all the same.
dmesg -n 1
# shellcheck source=/dev/null
. /settings # SECONDS_TO_RECORD and RATE_HZ, written by the host

begin() { echo "@@begin $1"; }
end() { echo && echo "@@end $1"; } # the empty line first: a file may not end with a newline
show() { begin "$1" && cat "$2" && end "$1"; }
fact() { echo "$1" "$2" >>/tmp/facts; }

fact kernel "$(uname -r)"
fact btf-bytes "$(stat -c %s /sys/kernel/btf/vmlinux 2>/dev/null || echo 0)"

/workload/chain >/tmp/c.truth 2>/tmp/c.err &
c=$!
python3.11 -I -S /workload/stack.py >/tmp/python.truth 2>/tmp/python.err &
python=$!
for _ in $(seq 60); do
    [ -s /tmp/c.truth ] && [ -s /tmp/python.truth ] && break
    sleep 0.5
done
show c-truth /tmp/c.truth
show python-truth /tmp/python.truth

if [ -x /bin/strata ]; then
    echo "@@recording"
    # The peak is worth knowing: on some kernels the verifier's memory decides it.
    time -f 'took %e s, peak memory %M kB' strata record --verifier-stats -d "$SECONDS_TO_RECORD" -r "$RATE_HZ" -f folded -o /tmp/out.folded \
        --stats-json /tmp/stats.json >/tmp/record.log 2>&1
    fact record-exit $?
    strata doctor -v >/tmp/doctor.log 2>&1
    fact doctor-exit $?
    # The agent has more of the kernel side: policies of cgroups. One of the two is in a pod, and nothing else is wanted.
    # At this level Debian's kernels do not take CAP_PERFMON for enough: one that has more keeps it, another says so.
    echo 3 >/proc/sys/kernel/perf_event_paranoid
    timeout 20 /workload/without_admin strata agent --store /tmp/refused --listen off >/tmp/refused.log 2>&1
    fact refused-exit $?
    mkdir -p /sys/fs/cgroup/kubepods/pod0
    echo $c >/sys/fs/cgroup/kubepods/pod0/cgroup.procs
    strata agent --store /tmp/store --listen off --profile-host=false --interval 1s -r "$RATE_HZ" >/tmp/agent.log 2>&1 &
    agent=$!
    for _ in $(seq 60); do
        grep -q "sampling what is chosen" /tmp/agent.log && break
        sleep 0.5
    done
    sleep "$SECONDS_TO_RECORD"
    kill $agent
    wait $agent
    fact agent-exit $?
    strata report --store /tmp/store -f folded -o /tmp/chosen.folded >>/tmp/agent.log 2>&1
    for name in record.log doctor.log refused.log agent.log stats.json out.folded chosen.folded; do
        [ -e "/tmp/$name" ] && show "$name" "/tmp/$name"
    done
else
    sleep 1
fi

# A profiler must leave its targets running.
alive() { kill -0 "$1" 2>/dev/null && echo yes || echo no; }
fact c-alive "$(alive $c)"
fact python-alive "$(alive $python)"
show facts /tmp/facts
cat /tmp/c.err /tmp/python.err >/tmp/err
show workload-errors /tmp/err
dmesg | grep -E 'BPF:|BUG:|WARNING:|Oops:|Out of memory|Killed process|stall' >/tmp/kernel.log
show kernel.log /tmp/kernel.log
echo "@@done"
poweroff -f
