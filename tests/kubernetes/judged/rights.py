"""What the agent still does without each right: a table, and what it has to be."""

import collections
import re

from . import samples
from .shares import names_of

KERNEL = re.compile(r"^(do_syscall_64|entry_SYSCALL_64|asm_sysvec|el0t_64_sync|invoke_syscall)")
OF_C = {"count_primes", "sort_numbers", "mix_words", "compare"}
MISSING, RIGHT = re.compile(r"\b(missing|lacks)\b"), re.compile(r"\bCAP_([A-Z_]+)\b")

# Per cent: the least and the most. The services are seldom in the kernel.
HIGH, ALL, SOME, FEW, NONE = (80.0, 100.0), (95.0, 100.0), (1.0, 100.0), (0.0, 5.0), (0.0, 0.5)
USUAL = {"Python": HIGH, "C": HIGH, "unreadable": HIGH, "deleted": HIGH, "kernel": SOME, "pods": ALL}
EXPECTED = {
    "nothing": USUAL,
    # Without these there is no eBPF: not ready, and no samples.
    "BPF": None,
    "PERFMON": None,
    "SYS_PTRACE": {**USUAL, "Python": FEW, "C": FEW, "unreadable": FEW, "deleted": FEW},
    # The way to a deleted file leads through a folder of its process's, too.
    "DAC_READ_SEARCH": {**USUAL, "unreadable": FEW, "deleted": FEW},
    "SYSLOG": {**USUAL, "kernel": NONE},
    "CHECKPOINT_RESTORE": {**USUAL, "deleted": FEW},
}


class Row:
    """What was seen within a window: for each column a part and the whole that it is of."""

    def __init__(self, path):
        self.name = path.name
        self.begin, self.end = (int(word) for word in (path / "window").read_text().split())
        self.ready = (path / "ready").read_text().strip()
        self.lines = [line for name in ["log", "doctor"] for line in (path / name).read_text().splitlines()]
        self.samples = 0
        self.parts, self.wholes = collections.Counter(), collections.Counter()

    def count(self, column, holds):
        self.wholes[column] += 1
        self.parts[column] += holds

    def percent(self, column):
        whole = self.wholes[column]
        return 100 * self.parts[column] / whole if whole else None


def fill(row, folder, cluster, labels):
    for sample, time in samples.all_of(folder, row.begin, row.end):
        names = names_of(sample.functions)
        row.samples += 1
        row.count("kernel", any(KERNEL.match(name) for name in sample.functions))
        pod, identity = cluster.of_process(sample.pid(), time) or (None, None)
        app, container = labels.get(pod), cluster.containers.get(identity, (None, None))[1]
        if app:
            row.count("pods", "k8s.pod.name" in sample.attributes)
        if app == "web":
            row.count("Python", any(name.startswith("pod_") for name in names))
        if app == "sieve":
            row.count("C", bool(names & OF_C))
        if app == "hidden" and container:
            row.count(container, bool(names & OF_C))


def named(lines):
    """The rights that the agent itself says it lacks."""
    return {name for line in lines if MISSING.search(line) for name in RIGHT.findall(line)}


def violations(row):
    expected, without = EXPECTED[row.name], f"without {row.name}"
    lacks = named(row.lines) & EXPECTED.keys()
    if row.name == "nothing" and lacks:
        yield f"{without} the agent says that it lacks {', '.join(sorted(lacks))}"
    if row.name != "nothing" and row.name not in lacks:
        yield f"{without} neither the agent's log nor its doctor says that it is missing"
    if expected is None:
        if row.ready != "no":
            yield f"{without} the agent is ready"
        if row.samples:
            yield f"{without} there are {row.samples} samples"
        return
    if row.ready != "yes":
        yield f"{without} the agent is not ready"
    for column, (least, most) in expected.items():
        found = row.percent(column)
        if found is None:
            yield f"{without} there is no sample for the column {column}"
        elif not least <= found <= most:
            yield f"{without} {column} is {found:.1f} %, not {least:g} to {most:g} %"


def judge(folder):
    cluster = samples.load(folder)
    labels = {uid: pod["metadata"].get("labels", {}).get("app") for uid, pod in cluster.pods.items()}
    rows = [Row(path) for path in (folder / "rights").iterdir() if (path / "window").exists()]
    print("without".ljust(20) + "".join(cell.rjust(12) for cell in ["ready", "samples", *USUAL]))
    for row in sorted(rows, key=lambda row: row.begin):
        fill(row, folder, cluster, labels)
        shares = [row.percent(column) for column in USUAL]
        cells = [row.ready, str(row.samples)] + ["-" if share is None else f"{share:.0f} %" for share in shares]
        print(row.name.ljust(20) + "".join(cell.rjust(12) for cell in cells))
        for line in dict.fromkeys(line for line in row.lines if named([line])):
            print("   " + line.strip()[:240])
    for name in EXPECTED.keys() - {row.name for row in rows}:
        yield f"without {name} nothing was tried"
    for row in rows:
        yield from violations(row)
