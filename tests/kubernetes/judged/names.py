"""Over the whole story: every sample that is known to be of a pod has this pod's names, and no other sample has any."""

import collections

import truth

from . import samples


NODE = "strata-node"


def owner(names):
    for kind in ["deployment", "statefulset", "daemonset", "cronjob", "job"]:
        if f"k8s.{kind}.name" in names:
            return f"{names['k8s.namespace.name']} {kind} {names[f'k8s.{kind}.name']}"
    return "a pod without an owner"


def judge(folder):
    cluster = samples.load(folder)
    # Without some right there may be no names; what there is has to be right then too.
    try:
        until = int((folder / "rights" / "begin").read_text())
    except OSError:
        until = 1 << 63
    right, wrong, unnamed = collections.Counter(), collections.Counter(), collections.Counter()
    pods, unknown, first = collections.defaultdict(set), collections.Counter(), {}
    for sample, time in samples.all_of(folder):
        whose = samples.of_whom(cluster, sample, time)
        found = {key: value for key, value in sample.attributes.items() if key in truth.NAMES}
        held = cluster.containers.get(sample.attributes.get("container.id"))
        if whose is None and "k8s.pod.name" not in found:
            unknown["not named"] += 1
            continue
        if whose is None:
            # One that was over before anybody looked: at least its names have to agree with its container.
            unknown["named"] += 1
            whose = samples.Pod(*held) if held else samples.Pod(found.get("k8s.pod.uid"), None)
        if whose.uid and whose.uid not in cluster.pods:
            unknown["of a pod that kubectl did not tell of"] += 1
            continue
        # The node's name is right for whatever runs there.
        names = cluster.names(whose.uid, whose.container) if whose.uid else {"k8s.node.name": NODE}
        kind = owner(names) if whose.uid else "no pod"
        pods[kind].add(whose.uid)
        bad = sorted(f"{key}={value}" for key, value in found.items() if names.get(key) not in (value, None))
        bad += sorted(key for key in found if key not in names and (whose.container or key != "k8s.container.name"))
        if whose.container and held and held != (whose.uid, whose.container):
            bad.append("container.id")
        missing = sorted(names.keys() - found.keys())
        if bad:
            wrong[kind] += 1
            first.setdefault(kind, f"{bad} instead of {names}; {sample.attributes}; {sorted(sample.functions)[:6]}")
        elif missing and whose.uid and time < until:
            unnamed[kind, tuple(missing)] += 1
        else:
            right[kind] += 1
    for kind in sorted(pods):
        print(f"{kind}: {right[kind]} samples of {len(pods[kind])} pods right, {wrong[kind]} wrong")
    print(f"whose they are nobody knows: {dict(unknown)}")
    for kind, count in wrong.items():
        yield f"{count} samples of {kind} have wrong names, such as {first[kind]}"
    for (kind, missing), count in unnamed.items():
        yield f"{count} samples of {kind} lack {', '.join(missing)}"
    for kind in ["shop-a deployment web", "shop-b deployment web", "shop-a deployment sieve", "shop-a cronjob report"]:
        if not right[kind]:
            yield f"there is no sample of {kind}"
