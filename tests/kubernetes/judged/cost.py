"""What the agent takes with thirty pods. Figures first; the bounds leave room for a slower machine."""

import json

from . import samples

# Of one CPU, at the usual rate. The documents promise less than one: the rest is for a machine without a moment's rest.
CPU_PERCENT = 3.0
# MiB. What its processes hold themselves; what its cgroup is charged with, the kernel side's maps and pages of files
# included, above which little is left of the manifest's limit of 512.
MEMORY, CHARGED = 128, 400


def judge(folder):
    window = json.loads((folder / "cost.json").read_text())
    running = int((folder / "running").read_text())
    agent = window["agent"]
    if agent not in window["begin"] or agent not in window["end"]:
        yield "the agent's pod was not there for the whole minute"
        return
    (first, before), (last, after) = window["begin"][agent], window["end"][agent]
    cpu = 100 * (after - before) / (last - first)
    resident = [one / 1024 for one, _ in window["memory"]]
    charged = [one / 1024 for _, one in window["memory"]]
    print(f"{running} pods: the agent takes {cpu:.2f} % of a CPU in {(last - first) / samples.SECOND:.0f} s")
    print(f"its anonymous memory: {max(resident):.1f} MiB at most; its cgroup's charge: {max(charged):.1f} MiB at most")
    first, last = window["counted"]
    names = ["strata_export_sent_bytes_total", "strata_export_sent_samples_total"]
    sent, samples_sent = (last[name] - first[name] for name in names)
    print(f"it sent {sent / 1024:.0f} KiB with {samples_sent:.0f} samples to the Collector")
    kernel, store = (last[f"strata_{what}_bytes"] / (1 << 20) for what in ["bpf_memory", "store"])
    print(f"of its kernel side's maps and programs: {kernel:.1f} MiB; store: {store:.1f} MiB")
    if not samples_sent:
        yield "it sent nothing"
    if running < 30:
        yield f"only {running} pods ran"
    if cpu > CPU_PERCENT:
        yield f"the agent takes {cpu:.2f} % of a CPU"
    for what, readings, most in [("takes", resident, MEMORY), ("is charged with", charged, CHARGED)]:
        if max(readings) > most:
            yield f"the agent {what} {max(readings):.1f} MiB"
        if not all(readings):
            yield f"what memory the agent {what} could not be read"
