"""What happens to nodes: how long nothing was sampled, and that nothing came twice."""

import collections

import received

from . import samples

INTERVAL = 10.0
# An agent that was killed had a batch in its hands; whoever starts one anew has to wait until it samples.
START = 8.0


def judge(folder):
    cluster = samples.load(folder)
    busy = {uid for uid, pod in cluster.pods.items() if pod["metadata"].get("labels", {}).get("app") == "sieve"}
    faults = []
    for line in (folder / "faults").read_text().splitlines():
        began, ended, what = line.split(" ", 2)
        faults.append((int(began), int(ended), what))
    rate = int((folder / "rate").read_text())
    times = []
    for sample, time in samples.all_of(folder, faults[0][0], faults[-1][1]):
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
    # Two agents at a time would take twice as many.
    most = max(collections.Counter(time // samples.SECOND for time in times).values())
    print(f"samples of the busiest second: {most}, {2 * rate} are taken on two CPUs")
    if most > 2 * rate * 1.2:
        yield f"{most} samples were taken within a second, more than {2 * rate}"
    profiles = collections.defaultdict(set)
    seen, twice = set(), 0
    for sample in received.read(samples.profiles(folder)):
        # A profile begins with a sample without times.
        if not sample.times and not sample.functions:
            twice += sample.profile in seen
            seen.add(sample.profile)
        profiles[sample.profile].add(sample.pid())
    print(f"{len(seen)} profiles, {twice} came twice")
    if twice:
        yield f"{twice} profiles came twice"
