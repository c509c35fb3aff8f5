"""A namespace that was opted out: its samples stop within two seconds, and come back. A pod that was never in has
none."""

import collections

from . import samples

PATIENCE = 2 * samples.SECOND
# Its one pod is opted out from birth on.
NEVER = "shop-c"


def judge(folder):
    out, back, end = (int(word) for word in (folder / "choice").read_text().split())
    cluster = samples.load(folder)
    spaces = samples.namespaces(cluster)
    counts, last = collections.Counter(), out
    for sample, time in samples.all_of(folder, out - 10 * samples.SECOND, end):
        whose = samples.of_whom(cluster, sample, time)
        space = spaces.get(whose.uid) if whose and whose.uid else None
        # By what it is called, too.
        if "shop-b" not in (space, sample.attributes.get("k8s.namespace.name")):
            counts["others, " + ("while it is out" if out < time < back else "else")] += 1
        elif time < out:
            counts["before"] += 1
        elif time < out + PATIENCE:
            counts["at once"] += 1
            last = max(last, time)
        elif time < back:
            counts["late"] += 1
            last = max(last, time)
        elif time > back + PATIENCE:
            counts["back"] += 1
    print(f"samples of shop-b, opted out: {dict(counts)}; the last came {(last - out) / samples.SECOND:.2f} s later")
    if counts["late"]:
        yield f"{counts['late']} samples of shop-b are more than 2 s younger than its opting out"
    for what in ["before", "back", "others, while it is out"]:
        if not counts[what]:
            yield f"there is no sample: {what}"
    yield from judge_never(folder, cluster, spaces)


def judge_never(folder, cluster, spaces):
    """Not one sample, by its names, its functions, its processes or its container, at any time."""
    pods = [pod for uid, pod in cluster.pods.items() if spaces[uid] == NEVER]
    ended = sum(pod.get("status", {}).get("phase") == "Succeeded" for pod in pods)
    count = 0
    for sample, time in samples.all_of(folder):
        whose = samples.of_whom(cluster, sample, time)
        held = cluster.of_container(sample.attributes.get("container.id"))
        uids = {whose and whose.uid, held and held[0], sample.attributes.get("k8s.pod.uid")}
        of = {spaces.get(uid) for uid in uids} | {sample.attributes.get("k8s.namespace.name")}
        count += NEVER in of
    print(f"samples of {NEVER}, opted out from birth on: {count}; pods that did their work there: {ended}")
    if count:
        yield f"{count} samples are of {NEVER}, which was never to be sampled"
    if not ended:
        yield f"no pod of {NEVER} did its work"
