"""What the agent still does without each right: a table."""

import collections
import re

from . import samples
from .shares import names_of

KERNEL = re.compile(r"^(do_syscall_64|entry_SYSCALL_64|asm_sysvec|el0t_64_sync|invoke_syscall)")
COLUMNS = ["ready", "samples", "Python", "C", "unreadable", "deleted", "kernel", "pods"]


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else "-"


def judge(folder):
    cluster = samples.load(folder)
    labels = {uid: pod["metadata"].get("labels", {}).get("app") for uid, pod in cluster.pods.items()}
    rows = sorted((int((path / "window").read_text().split()[0]), path) for path in (folder / "rights").iterdir() if path.is_dir())
    print("without".ljust(20) + "".join(column.rjust(12) for column in COLUMNS))
    for _, path in rows:
        begin, end = (int(word) for word in (path / "window").read_text().split())
        counts = collections.Counter()
        for sample, time in samples.all_of(folder, begin, end):
            counts["samples"] += 1
            counts["kernel"] += any(KERNEL.match(name) for name in sample.functions)
            found = cluster.of_process(sample.pid(), time)
            whose = found and labels.get(found[0])
            container = found and cluster.containers.get(found[1], (None, None))[1]
            if whose:
                counts["of pods"] += 1
                counts["named"] += "k8s.pod.name" in sample.attributes
                names = names_of(sample.functions)
                counts["web"] += whose == "web"
                counts["Python"] += whose == "web" and any(name.startswith("pod_") for name in names)
                counts["sieve"] += whose == "sieve"
                in_c = bool(names & {"count_primes", "sort_numbers", "mix_words", "compare"})
                counts["C"] += whose == "sieve" and in_c
                counts["hidden " + (container or "")] += whose == "hidden"
                counts["unreadable"] += container == "unreadable" and in_c
                counts["deleted"] += container == "deleted" and any(name.startswith("crc32") for name in names)
        ready = (path / "ready").read_text().strip()
        cells = [ready, str(counts["samples"]), percent(counts["Python"], counts["web"]), percent(counts["C"], counts["sieve"])]
        cells += [percent(counts[what], counts["hidden " + what]) for what in ["unreadable", "deleted"]]
        cells += [percent(counts["kernel"], counts["samples"]), percent(counts["named"], counts["of pods"])]
        print(path.name.ljust(20) + "".join(cell.rjust(12) for cell in cells))
        if path.name == "nothing" and (ready != "yes" or not counts["Python"] or not counts["C"] or not counts["kernel"]):
            yield "with all rights not all is there"
    for _, path in rows:
        print(f"-- without {path.name}, the agent's log and `strata doctor` say:")
        lines = (path / "log").read_text().splitlines() + (path / "doctor").read_text().splitlines()
        for line in dict.fromkeys(line for line in lines if path.name in line or re.search(r"WARN|ERROR|CAP_|capabilit", line)):
            print("   " + line[:240])
