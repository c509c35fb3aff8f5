"""Writes down which processes are in pods' cgroups, until it is told to end: FIRST-SEEN LAST-SEEN PID START POD CONTAINER."""

import os
import pathlib
import re
import signal
import sys
import time

POD = re.compile(r"/pod([0-9a-f-]{36})/([0-9a-f]{64})$")
PAUSE = 0.1
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
        if "runc" in os.readlink(f"/proc/{pid}/exe"):
            return None
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def look(top, seen):
    now = time.time_ns()
    for folder, _, _ in os.walk(top):
        found = POD.search(folder)
        try:
            with open(os.path.join(folder, "cgroup.procs")) as file:
                pids = file.read().split() if found else []
        except OSError:
            continue
        for pid in pids:
            key = (pid, start_of(pid), *found.groups())
            if key[1]:
                seen.setdefault(key, [now, now])[1] = time.time_ns()


def write(seen):
    """Whole or not at all: it is read while it is written."""
    new = sys.argv[1] + ".new"
    with open(new, "w") as output:
        for key, (first, last) in seen.items():
            print(first, last, *key, file=output)
    os.replace(new, sys.argv[1])


def main():
    signal.signal(signal.SIGTERM, end)
    top, seen = root(), {}
    written = 0
    while not told_to_end:
        look(top, seen)
        if time.monotonic() > written + 2:
            write(seen)
            written = time.monotonic()
        time.sleep(PAUSE)
    write(seen)


if __name__ == "__main__":
    main()
