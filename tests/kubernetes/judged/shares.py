"""A stretch in which nothing comes or goes: each pod's CPU time as its cgroup has it, each function's share as the
service itself clocked it."""

import collections
import json
import math

import received

from . import samples

# Points between a function's share and its own clock, per cent between samples and cgroup.
SHARE_POINTS = 3.0
TOTAL_PERCENT = 2.0
# A pod that took less CPU time, in seconds, has too few samples to be judged. Where chance alone may make more than two
# per cent, since a busy machine left the pod little, three times its standard deviation is the limit.
LEAST = 4.0
# Whose shares have to be judged, by their pods' labels.
SERVICES = {"in C": {"sieve"}, "in Python": {"web", "pair"}}


def names_of(functions):
    """A function's name, with and without what stands before or behind it."""
    plain = {received.plain(name) for name in functions}
    return plain | {name.split(".")[0] for name in functions}


def clocks(path, begin, end):
    """The first and last reading of a service's clocks within the window."""
    readings = []
    for line in path.read_text().splitlines():
        try:
            reading = json.loads(line)
        except ValueError:
            continue
        if begin <= reading["wall"] <= end:
            readings.append(reading)
    return (readings[0], readings[-1]) if len(readings) > 1 else None


def judge(folder):
    window = json.loads((folder / "accuracy.json").read_text())
    rate = int((folder / "rate").read_text())
    cluster = samples.load(folder)
    seen = collections.defaultdict(list)  # pod's uid -> [(time, container, functions)]
    begin = min(time for time, _ in window["begin"].values())
    end = max(time for time, _ in window["end"].values())
    for sample, time in samples.all_of(folder, begin, end):
        pod = sample.attributes.get("k8s.pod.uid")
        if pod:
            seen[pod].append((time, sample.attributes.get("k8s.container.name"), sample.functions))
    judged, services = 0, set()
    for pod, (first, before) in sorted(window["begin"].items()):
        last, after = window["end"].get(pod, (first, before))
        used = (after - before) / samples.SECOND
        if used < LEAST or pod == window["agent"]:
            continue
        names = cluster.names(pod)
        name = f"{names['k8s.namespace.name']}/{names['k8s.pod.name']}"
        count = sum(first <= time < last for time, _, _ in seen[pod])
        measured = count / rate
        cpus = used / ((last - first) / samples.SECOND)
        # What chance makes of it, if each sample fell anywhere.
        chance = 100 * math.sqrt(max(0.0, 1 - cpus / 2) / max(count, 1))
        off = 100 * (measured / used - 1)
        difference = f"{off:+.2f} %, chance {chance:.2f}"
        print(f"{name}: {measured:.2f} s by {count} samples, {used:.2f} s by its cgroup ({difference})")
        judged += 1
        if abs(off) > max(TOTAL_PERCENT, 3 * chance):
            yield f"{name}: CPU time is off by {off:+.2f} %"
        for path in sorted((folder / "clocks").glob(f"{pod}.*")):
            taken, wrong = judge_shares(path, name, first, last, seen[pod])
            yield from wrong
            if taken:
                services.add(cluster.pods[pod]["metadata"].get("labels", {}).get("app"))
    if judged < 5:
        yield f"only {judged} pods took more than {LEAST} s of CPU time"
    for language, those in SERVICES.items():
        if not services & those:
            yield f"the shares of no service {language} were judged"


def judge_shares(path, name, begin, end, seen):
    """Whether there was enough to judge, and what is wrong."""
    container = path.name.split(".")[1]
    readings = clocks(path, begin, end)
    if not readings:
        return False, [f"{name} {container}: the service's clocks were not told"]
    early, late = readings
    process = late["process"] - early["process"]
    if process < LEAST * samples.SECOND:
        return False, []
    own = [functions for time, of, functions in seen if of == container and early["wall"] <= time < late["wall"]]
    if not own:
        took = f"took {process / samples.SECOND:.1f} s by its own clock"
        return False, [f"{name} {container}: {took}, and there is no sample of it"]
    counts = collections.Counter(function for functions in own for function in names_of(functions))
    worst, wrong = 0.0, []
    for function, spent in sorted(late["functions"].items()):
        share = (spent - early["functions"].get(function, 0)) / process
        found = counts[function] / len(own)
        worst = max(worst, abs(found - share) * 100)
        if abs(found - share) * 100 > SHARE_POINTS:
            wrong.append(f"{name} {container}: {function} has {found:.1%}, by its own clock {share:.1%}")
    print(f"  {container}: shares of {len(late['functions'])} functions are off by {worst:.2f} points at most")
    return True, wrong
