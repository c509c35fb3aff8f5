"""What the agent takes with thirty pods. Figures first; the bounds are far above what it should be."""

import json

from . import samples

CPU_PERCENT = 10.0
MEMORY = 128


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
    print(f"its anonymous memory: {max(resident):.1f} MiB at most; its cgroup is charged with {max(charged):.1f} MiB at most")
    if running < 30:
        yield f"only {running} pods ran"
    if cpu > CPU_PERCENT:
        yield f"the agent takes {cpu:.2f} % of a CPU"
    if max(resident) > MEMORY:
        yield f"the agent takes {max(resident):.1f} MiB"
