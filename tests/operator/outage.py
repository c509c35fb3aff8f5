"""Judges an operator's story (outage.sh): what the Collector's file and the store's report say of a program, against what
the program clocked of itself and what its cgroup was charged with."""

import argparse
import collections
import json
import pathlib
import re
import sys

# Points between a function's share and the program's own clock; per cent of the cgroup's CPU time.
SHARE_POINTS = 3.0
TOTAL_PERCENT = 2.0
SECOND = 1_000_000_000
# Seconds without a sample that a busy machine may keep the program waiting for; a batch has ten.
LONGEST = 4.0
# MiB of anonymous memory that the agent may take at any time.
MEMORY = 64


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    for name in ["pid", "rate", "began", "ended", "used"]:
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--crash", action="store_true")
    return parser.parse_args()


def number(value):
    return int(value or 0)


def key_of(attribute, strings):
    return attribute.get("key") or strings[attribute.get("keyStrindex", 0)]


class Received:
    """What a Collector wrote of one process."""

    def __init__(self, path, pid):
        self.samples = []  # (time, functions)
        self.profile_ids = collections.Counter()
        self.messages = 0
        for line in path.read_text().splitlines():
            self.messages += 1
            message = json.loads(line)
            tables = message.get("dictionary", {})
            strings = tables.get("stringTable", [""])
            for resource in message.get("resourceProfiles", []):
                attributes = resource.get("resource", {}).get("attributes", [])
                pids = [a["value"].get("intValue") for a in attributes if key_of(a, strings) == "process.pid"]
                for scope in resource.get("scopeProfiles", []):
                    for profile in scope.get("profiles", []):
                        self.profile_ids[profile.get("profileId")] += 1
                        if str(pid) in map(str, pids):
                            self.take(profile, tables, strings)

    def take(self, profile, tables, strings):
        start = number(profile.get("timeUnixNano"))
        end = start + number(profile.get("durationNano"))
        for sample in profile.get("samples", []):
            stack = tables["stackTable"][sample.get("stackIndex", 0)]
            functions = set()
            for index in stack.get("locationIndices", []):
                for line in tables["locationTable"][index].get("lines", []):
                    function = tables["functionTable"][line.get("functionIndex", 0)]
                    functions.add(strings[function.get("nameStrindex", 0)])
            times = [number(time) for time in sample.get("timestampsUnixNano", [])]
            if not times:
                sys.exit("a sample does not say when it was taken")
            for time in times:
                if not start <= time < end:
                    sys.exit(f"a sample of {time} is outside of its profile, {start} to {end}")
                self.samples.append((time, functions))


def reported(path):
    """The samples of a folded file: functions and how many."""
    found = []
    for line in path.read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        found.append((set(stack.split(";")), int(count)))
    return found


def shares(samples):
    """Share of the samples in which each function is."""
    total = sum(count for _, count in samples)
    counts = collections.Counter()
    for functions, count in samples:
        for function in functions:
            counts[function] += count
    return {name: count / total for name, count in counts.items()}


def plain(functions):
    """Names as the program knows them."""
    return {re.sub(r" \(.*\)$|_\[.\]$", "", name).rsplit(".", 1)[-1] for name in functions}


def off(truth, found):
    for name, share in sorted(truth.items()):
        points = abs(found.get(name, 0.0) - share) * 100
        if points > SHARE_POINTS:
            yield f"{name}: {found.get(name, 0.0):.1%}, by its own clock {share:.1%}"


def main():
    asked = arguments()
    truth = json.loads((asked.folder / "truth").read_text().splitlines()[-1])
    received = Received(asked.folder / "profiles.json", asked.pid)
    inside = [(t, plain(f)) for t, f in received.samples if asked.began <= t <= asked.ended]
    failures = []

    times = [asked.began] + sorted(time for time, _ in inside) + [asked.ended]
    longest = max(later - earlier for earlier, later in zip(times, times[1:])) / SECOND
    print(f"{(asked.ended - asked.began) / SECOND:.0f} s of the program, {longest:.1f} s without a sample at most")
    # An agent that was killed had a batch in its hands and took a while to come back.
    if longest > (40 if asked.crash else LONGEST):
        failures.append(f"there is no sample in {longest:.1f} s")

    period = SECOND / asked.rate
    measured, used = len(inside) * period / SECOND, asked.used / SECOND
    print(f"CPU time: {measured:.2f} s by {len(inside)} samples, {used:.2f} s by the cgroup ({measured / used - 1:+.2%})")
    if not asked.crash and abs(measured / used - 1) * 100 > TOTAL_PERCENT:
        failures.append(f"CPU time is off by {measured / used - 1:+.2%}")

    found = shares([(functions, 1) for _, functions in inside])
    worst = max(abs(found.get(name, 0.0) - share) * 100 for name, share in truth["shares"].items())
    print(f"shares of {len(truth['shares'])} functions: off by {worst:.2f} points at most")
    failures += off(truth["shares"], found)

    twice = [name for name, count in received.profile_ids.items() if count > 1]
    print(f"profiles: {len(received.profile_ids)} in {received.messages} messages, {len(twice)} came twice")
    if twice and not asked.crash:
        failures.append(f"{len(twice)} profiles came twice")

    report = reported(asked.folder / "report.folded")
    told = sum(count for _, count in report)
    print(f"strata report: {told} samples of the program, the Collector {len(received.samples)}")
    if told != len(received.samples) and not (asked.crash and told <= len(received.samples)):
        failures.append(f"the store has {told} samples, the Collector {len(received.samples)}")
    of_report = shares([(plain(functions), count) for functions, count in report])
    failures += (f"report: {line}" for line in off(truth["shares"], of_report))

    memory = [int(line) / 1024 for line in (asked.folder / "memory").read_text().split()]
    print(f"the agent's memory: {max(memory):.1f} MiB at most, {memory[-1]:.1f} MiB at the end")
    if max(memory) > MEMORY:
        failures.append(f"the agent took {max(memory):.1f} MiB")

    for line in failures:
        print(f"WRONG: {line}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
