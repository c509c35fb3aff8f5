"""The Collector's samples, each with who it is of by the truth."""

import functools
import re
import typing

import received
import truth

MARK = re.compile(r"^pod_([0-9a-f_]{36}|none)__(\w+)$")
SECOND = 1_000_000_000
Pod = typing.NamedTuple("Pod", [("uid", typing.Optional[str]), ("container", typing.Optional[str])])


def profiles(folder):
    return folder / "received" / "profiles.json"


@functools.lru_cache(maxsize=None)
def mark_of(functions):
    """The pod and container that the sample's own functions name."""
    for name in functions:
        found = MARK.match(received.plain(name))
        if found:
            return Pod(None if found[1] == "none" else found[1].replace("_", "-"), found[2])
    return None


def of_whom(cluster, sample, time):
    """By its functions, else by its process's cgroup then, else nobody knows. One of the host has no uid."""
    marked = mark_of(sample.functions)
    if marked:
        return marked
    found = cluster.of_process(sample.pid(), time)
    if found:
        pod, container = found
        return Pod(pod, cluster.containers.get(container, (pod, None))[1])
    return None


def all_of(folder, begin=0, end=1 << 63):
    """(sample, time) for each time within a window."""
    for sample in received.read(profiles(folder)):
        for time in sample.times:
            if begin <= time < end:
                yield sample, time


def namespaces(cluster):
    return {uid: pod["metadata"]["namespace"] for uid, pod in cluster.pods.items()}


def load(folder):
    return truth.Cluster(folder)
