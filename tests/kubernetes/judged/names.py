"""Over the whole story: every sample that is known to be of a pod has this pod's names, and no other sample has any."""

import collections

import truth

from . import samples

NODE = "strata-node"
HOST = "no pod"
# Per cent of all samples. Unknown are processes that were over before anybody looked, and runc before it is the
# container's program.
UNKNOWN_PERCENT, NAMED_PERCENT = 5.0, 2.0
REQUIRED = [
    ("shop-a deployment web", "server"),
    ("shop-b deployment web", "server"),
    ("shop-a deployment sieve", "numbers"),
    ("shop-a cronjob report", "writer"),
    ("shop-a statefulset pair", "prepare"),
    ("shop-a statefulset pair", "left"),
    ("shop-a statefulset pair", "right"),
    (HOST, "host"),
]
# Added to a pod while it ran, if the phase was told that does it.
VISITOR = ("shop-a statefulset pair", "visitor")


def owner(names):
    for kind in ["deployment", "statefulset", "daemonset", "cronjob", "job"]:
        if f"k8s.{kind}.name" in names:
            return f"{names['k8s.namespace.name']} {kind} {names[f'k8s.{kind}.name']}"
    return f"{names['k8s.namespace.name']} pod {names['k8s.pod.name']}"


def differing(cluster, found, identity, whose):
    """(names that it should have, those of its attributes that are not so)."""
    held = cluster.of_container(identity)
    if not whose.uid:
        # The node's name is right for whatever runs there.
        names = {"k8s.node.name": NODE}
        foreign = bool(held)
    else:
        names = cluster.names(whose.uid, whose.container)
        foreign = held and (held[0] != whose.uid or whose.container and held[1] != whose.container)
    bad = {key for key, value in found.items() if names.get(key) != value}
    if whose.uid and not whose.container:
        bad.discard("k8s.container.name")
    return names, sorted(bad | ({"container.id"} if foreign else set()))


def verdict(cluster, sample, time):
    """(right, wrong, unnamed or unknown; of what or why; the container's name; what is wrong or missing)."""
    found = {key: value for key, value in sample.attributes.items() if key in truth.NAMES}
    identity = sample.attributes.get("container.id")
    whose = samples.of_whom(cluster, sample, time)
    if found.get("k8s.pod.uid", whose and whose.uid) not in cluster.pods.keys() | {None}:
        told = "k8s.pod.uid" in found
        return ("wrong" if told else "unknown"), "a pod that kubectl did not tell of", None, "its uid"
    if whose is None:
        if not found.keys() - {"k8s.node.name"}:
            return "unknown", "not named", None, None
        # Nobody knows: but its names have to be those of its container's pod. That makes nothing right.
        whose = cluster.of_container(identity)
        if not whose or whose[0] not in cluster.pods:
            return "wrong", "a process and container that nobody knows", None, "to be named"
        names, bad = differing(cluster, found, identity, samples.Pod(*whose))
        if bad:
            return "wrong", owner(names), whose[1], f"{bad} instead of {names}"
        return "unknown", "named", None, None
    names, bad = differing(cluster, found, identity, whose)
    kind = owner(names) if whose.uid else HOST
    missing = sorted(names.keys() - found.keys()) if whose.uid else []
    if bad:
        return "wrong", kind, whose.container, f"{bad} instead of {names}"
    return ("unnamed" if missing else "right"), kind, whose.container, ", ".join(missing)


def judge(folder):
    cluster = samples.load(folder)
    # Without some right there may be no names; what there is has to be right then too.
    begin = folder / "rights" / "begin"
    until = int(begin.read_text()) if begin.exists() else 1 << 63
    counts, total = collections.defaultdict(collections.Counter), 0
    unnamed, first = collections.Counter(), {}
    for sample, time in samples.all_of(folder):
        total += 1
        what, kind, container, detail = verdict(cluster, sample, time)
        if what == "unnamed" and time < until:
            unnamed[kind, detail] += 1
        elif what == "wrong":
            first.setdefault(kind, f"{detail}; {sample.attributes}; {sorted(sample.functions)[:6]}")
        counts[what][kind, container] += 1
    right, unknown = counts["right"], {kind: count for (kind, _), count in counts["unknown"].items()}
    for (kind, container), count in sorted(right.items(), key=str):
        print(f"{kind}, {container}: {count} samples right")
    print(f"whose they are nobody knows, of {total}: {unknown}")
    wrong = collections.Counter()
    for (kind, _), count in counts["wrong"].items():
        wrong[kind] += count
    for kind, count in wrong.items():
        yield f"{count} samples of {kind} have wrong names, such as {first[kind]}"
    for (kind, missing), count in unnamed.items():
        yield f"{count} samples of {kind} lack {missing}"
    for kind, container in REQUIRED + ([VISITOR] if (folder / "visited").exists() else []):
        if not right[kind, container]:
            yield f"there is no sample of {kind}, {container}"
    named = unknown.pop("named", 0)
    if sum(unknown.values()) > total * UNKNOWN_PERCENT / 100:
        yield f"of {sum(unknown.values())} of {total} samples nobody knows whose they are"
    if named > total * NAMED_PERCENT / 100:
        yield f"{named} of {total} samples are named, and nobody knows whose they are"
