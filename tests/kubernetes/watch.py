"""Writes down which processes are in which pods' cgroups, and which in none, until it is told to end:
FIRST-SEEN LAST-SEEN PID START POD CONTAINER, the last two `none` for those of the host."""

import os
import pathlib
import re
import signal
import sys
import time

POD = re.compile(r"/pod([0-9a-f-]{36})/([0-9a-f]{64})$")
HOST = ("none", "none")
PAUSE = 0.1
# One of the host that has been seen for so long, in seconds, is looked at this often only.
YOUNG, OLD_PAUSE = 3.0, 1.0
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of Linux' sched.h
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
told_to_end = False


def end(_signal, _frame):
    global told_to_end
    told_to_end = True


def root():
    """The root of all pods in one hierarchy: any has all of them."""
    for folder in ["cpuacct", "cpu,cpuacct", "cpu", "unified", ""]:
        path = pathlib.Path("/sys/fs/cgroup", folder, "kubepods")
        if path.is_dir():
            return path
    sys.exit("there are no pods' cgroups")


def start_of(pid):
    """Nothing for one that is gone, or that still prepares the container and is not its program yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        if not int(fields[6]) & KERNEL_THREAD and "runc" in os.readlink(f"/proc/{pid}/exe"):
            return None
        return fields[19]
    except OSError:
        return None


def in_no_pod(pid):
    """One that is being moved is in a pod by some of its cgroups alone."""
    try:
        with open(f"/proc/{pid}/cgroup") as file:
            return "kubepods" not in file.read()
    except OSError:
        return False


def look(top, seen):
    """Gives the processes that are in pods."""
    inside = set()
    for folder, _, _ in os.walk(top):
        found = POD.search(folder)
        try:
            with open(os.path.join(folder, "cgroup.procs")) as file:
                pids = file.read().split() if found else []
        except OSError:
            continue
        inside.update(pids)
        for pid in pids:
            before = time.time_ns()
            key = (pid, start_of(pid), *found.groups())
            if key in seen:
                seen[key][1] = before
            elif key[1]:
                # Not from the look's begin on: it may have come in since.
                seen[key] = [time.time_ns()] * 2
    return inside


def look_outside(inside, seen, looked):
    """None leaves a pod: who is in none now was in none since it started."""
    now = time.monotonic()
    pids = {name for name in os.listdir("/proc") if name.isdigit()}
    for gone in looked.keys() - pids:
        del looked[gone]
    for pid in pids - inside:
        first, last = looked.setdefault(pid, [now, 0.0])
        if first + YOUNG < now < last + OLD_PAUSE:
            continue
        looked[pid][1] = now
        # Before it is looked at: a moment later it may be in a pod.
        before, start = time.time_ns(), start_of(pid)
        if start and in_no_pod(pid):
            seen.setdefault((pid, start, *HOST), [began(start), before])[1] = before


def began(start):
    """The wall's time of what /proc tells in ticks since the boot."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(start) * TICK


def write(seen):
    """Whole or not at all: it is read while it is written."""
    new = sys.argv[1] + ".new"
    with open(new, "w") as output:
        for key, (first, last) in seen.items():
            print(first, last, *key, file=output)
    os.replace(new, sys.argv[1])


def main():
    signal.signal(signal.SIGTERM, end)
    top, seen, looked = root(), {}, {}
    written = 0
    while not told_to_end:
        look_outside(look(top, seen), seen, looked)
        if time.monotonic() > written + 2:
            write(seen)
            written = time.monotonic()
        time.sleep(PAUSE)
    write(seen)


if __name__ == "__main__":
    main()
