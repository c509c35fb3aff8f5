"""What happens to nodes: how long nothing was sampled, that one agent alone sampled, and that nothing came twice."""

import collections

import received

from . import samples

INTERVAL = 10.0
# An agent that was killed had a batch in its hands; whoever starts one anew has to wait until it samples.
START = 8.0
# As many samples as two saturated CPUs can give; two agents at a time take twice as many. A second may get what the one
# before lacks.
CPUS = 2
MORE_THAN_RATE = {1: 1.3, 10: 1.1}


def busiest(seconds, length):
    """The most samples within so many whole seconds."""
    inside = most = 0
    for second in range(min(seconds), max(seconds) + 1):
        inside += seconds[second] - seconds[second - length]
        most = max(most, inside)
    return most


def judge(folder):
    cluster = samples.load(folder)
    busy = {uid for uid, pod in cluster.pods.items() if pod["metadata"].get("labels", {}).get("app") == "sieve"}
    faults = []
    for line in (folder / "faults").read_text().splitlines():
        began, ended, what = line.split(" ", 2)
        faults.append((int(began), int(ended), what))
    rate = int((folder / "rate").read_text())
    times, seconds = [], collections.Counter()
    for sample, time in samples.all_of(folder, faults[0][0], faults[-1][1]):
        seconds[time // samples.SECOND] += 1
        whose = samples.of_whom(cluster, sample, time)
        if whose and whose.uid in busy:
            times.append(time)
    times.sort()
    for began, ended, what in faults:
        inside = [began] + [time for time in times if began <= time < ended] + [ended]
        longest = max(later - earlier for earlier, later in zip(inside, inside[1:])) / samples.SECOND
        limit = INTERVAL + START if "killed" in what else INTERVAL
        print(f"{what}: {longest:.1f} s without a sample at most")
        if longest > limit:
            yield f"{what}: nothing was sampled in {longest:.1f} s"
    for length, factor in MORE_THAN_RATE.items():
        most, usual = busiest(seconds, length) if seconds else 0, CPUS * rate * length
        print(f"samples of the busiest {length} s: {most}, {usual} are taken on {CPUS} CPUs")
        if most > usual * factor:
            yield f"{most} samples were taken within {length} s, more than {usual}: two agents at once"
    seen, twice = set(), 0
    for sample in received.read(samples.profiles(folder)):
        # A profile begins with a sample without times.
        if not sample.times and not sample.functions:
            twice += sample.profile in seen
            seen.add(sample.profile)
    print(f"{len(seen)} profiles, {twice} came twice")
    if twice:
        yield f"{twice} profiles came twice"
