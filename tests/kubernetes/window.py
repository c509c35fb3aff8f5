"""Measures a stretch of time: `window.py FOLDER NAME SECONDS` writes FOLDER/NAME.json with the CPU time that each
pod's and the agent's cgroup was charged with, the agent's memory and what its own metrics count, and when it began and
ended."""

import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

import watch

POD = re.compile(r"/pod([0-9a-f-]{36})$")


def usages():
    """CPU time in ns by pod's uid, each with the time at which it was read."""
    found = {}
    for folder in watch.root().rglob("pod*"):
        pod = POD.search(str(folder))
        if pod:
            try:
                found[pod[1]] = (time.time_ns(), usage(folder))
            except OSError:
                pass
    return found


def usage(folder):
    plain = folder / "cpuacct.usage"
    if plain.exists():
        return int(plain.read_text())
    fields = dict(line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return int(fields["usage_usec"]) * 1000


def memory(uid):
    """Anonymous memory of a pod's processes, and what its cgroup is charged with: KiB."""
    resident = 0
    for procs in watch.root().rglob(f"pod{uid}/*/cgroup.procs"):
        for pid in procs.read_text().split():
            try:
                status = pathlib.Path("/proc", pid, "status").read_text()
            except OSError:
                continue
            resident += int(re.search(r"^RssAnon:\s+(\d+)", status, re.M)[1])
    return resident, charged(uid)


def charged(uid, cgroups=pathlib.Path("/sys/fs/cgroup")):
    """By whichever hierarchy has the memory; 0 if none tells."""
    for hierarchy, name in [("memory", "usage_in_bytes"), ("unified", "current"), ("", "current")]:
        for folder in (cgroups / hierarchy / "kubepods").glob("**/pod" + uid):
            file = folder / f"memory.{name}"
            if file.exists():
                return int(file.read_text()) // 1024
    return 0


def agent():
    """Its pod's uid and address."""
    command = ["kubectl", "-n", "strata", "get", "pods", "-o", "json"]
    pods = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)["items"]
    running = (pod for pod in pods if pod["status"].get("phase") == "Running")
    return next(((pod["metadata"]["uid"], pod["status"].get("podIP")) for pod in running), (None, None))


def counted(address):
    """The agent's metrics, those of all labels together."""
    found = {}
    if address:
        with urllib.request.urlopen(f"http://{address}:7071/metrics", timeout=10) as page:
            for line in page.read().decode().splitlines():
                if not line.startswith("#"):
                    key, value = line.rsplit(" ", 1)
                    name = key.split("{")[0]
                    found[name] = found.get(name, 0.0) + float(value)
    return found


def main():
    folder, name, seconds = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    uid, address = agent()
    before = counted(address)
    begin, readings, end = usages(), [], time.time() + seconds
    while time.time() < end:
        readings.append(memory(uid) if uid else (0, 0))
        time.sleep(max(0.0, min(1.0, end - time.time())))
    found = {"begin": begin, "end": usages(), "agent": uid, "memory": readings}
    found["counted"] = [before, counted(address)]
    (folder / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
