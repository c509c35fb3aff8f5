"""The judges themselves: a small story that all of them pass, and then one fault at a time, which one of them finds.

    /usr/bin/python3 -E -s -B tests/kubernetes/test_judged.py
"""

import contextlib
import hashlib
import io
import json
import os
import pathlib
import tempfile
import time
import unittest
import uuid
from unittest import mock

import judged.choice
import judged.cost
import judged.faults
import judged.names
import judged.rights
import judged.shares
import judged.writable
import watch
import window

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND
RATE = 100
# Seconds from the story's start on.
ACCURACY, CHOICE, FAULTS, RIGHTS = 10, 100, 200, 400
HOST_PID, KUBELET = 50, 51
PYTHON = ["parse_order", "price_order"]
# As a runtime mounts them, in mountinfo's words.
MOUNTS = """\
1 0 0:1 / / ro,relatime - overlay overlay rw
2 1 0:2 / /proc rw,nosuid - proc proc rw
3 2 0:3 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw
4 1 0:3 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
5 1 8:1 /var/lib/strata /var/lib/strata rw,relatime - ext4 /dev/sda1 rw
6 1 8:1 /sandboxes/x/resolv.conf /etc/resolv.conf ro,relatime - ext4 /dev/sda1 rw
7 1 0:9 / /sys ro,nosuid - sysfs sysfs ro
"""
STRANGER = str(uuid.UUID(int=7))
LIBRARY = {"sieve": "count_primes", "unreadable": "sort_numbers", "deleted": "mix_words"}


def at(seconds):
    return START + round(seconds * SECOND)


def spread(begin, end, count):
    """So many times, at equal distances."""
    return [at(begin + (end - begin) * index / count) for index in range(count)]


class Pod:
    def __init__(self, namespace, name, app, owners, containers, first_pid):
        self.uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{namespace}/{name}"))
        self.namespace, self.name, self.app = namespace, name, app
        self.owners, self.containers = owners, containers
        self.pids = {container: first_pid + index for index, container in enumerate(containers)}
        self.phase = "Running"

    def identity(self, container):
        return hashlib.sha256(f"{self.uid}/{container}".encode()).hexdigest()

    def mark(self, container):
        return f"pod_{self.uid}__{container}".replace("-", "_")

    def object(self):
        statuses = [{"name": name, "containerID": f"containerd://{self.identity(name)}"} for name in self.containers]
        return {
            "metadata": {
                **{"name": self.name, "namespace": self.namespace, "uid": self.uid, "labels": {"app": self.app}},
                "ownerReferences": [reference(*self.owners[0])] if self.owners else [],
            },
            "spec": {"nodeName": "strata-node"},
            "status": {"phase": self.phase, "containerStatuses": statuses},
        }

    def attributes(self, container):
        names = {
            **{"k8s.pod.name": self.name, "k8s.pod.uid": self.uid, "k8s.namespace.name": self.namespace},
            **{"k8s.node.name": "strata-node", "k8s.container.name": container},
            **{f"k8s.{kind.lower()}.name": name for kind, name in self.owners},
        }
        return {"process.pid": str(self.pids[container]), "container.id": self.identity(container), **names}


def reference(kind, name):
    return {"kind": kind, "name": name, "uid": f"{kind}/{name}", "controller": True}


class Seen:
    """A profile with one stack, seen at some times."""

    def __init__(self, attributes, functions, times):
        self.attributes, self.functions, self.times = dict(attributes), list(functions), times

    def message(self, identity):
        strings, sample = ["", *self.functions], {"timestampsUnixNano": [str(time) for time in self.times]}
        count = len(self.functions)
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in self.attributes.items()]
        profile = {"profileId": identity, "samples": [{**sample, "stackIndex": 0}]}
        return {
            "dictionary": {
                "stringTable": strings,
                "functionTable": [{"nameStrindex": index + 1} for index in range(count)],
                "locationTable": [{"lines": [{"functionIndex": index}]} for index in range(count)],
                "stackTable": [{"locationIndices": list(range(count))}],
            },
            "resourceProfiles": [
                {"resource": {"attributes": attributes}, "scopeProfiles": [{"profiles": [profile]}]},
            ],
        }


def deployment(name):
    return [("ReplicaSet", f"{name}-1"), ("Deployment", name)]


class Story:
    """What the folder of a good story has. A fault changes it before it is written."""

    def __init__(self):
        self.web = Pod("shop-a", "web-a", "web", deployment("web"), ["server"], 100)
        self.other = Pod("shop-b", "web-b", "web", deployment("web"), ["server"], 110)
        self.sieve = Pod("shop-a", "sieve-a", "sieve", deployment("sieve"), ["numbers"], 120)
        containers = ["prepare", "left", "right", "visitor"]
        self.pair = Pod("shop-a", "pair-0", "pair", [("StatefulSet", "pair")], containers, 130)
        self.report = Pod("shop-a", "report-1", "report", [("Job", "report-1"), ("CronJob", "report")], ["writer"], 140)
        self.hidden = Pod("shop-a", "hidden-a", "hidden", deployment("hidden"), ["unreadable", "deleted"], 150)
        self.agent = Pod("strata", "strata-agent-1", "", [("DaemonSet", "strata-agent")], ["agent"], 160)
        self.never = Pod("shop-c", "never", "", [], ["secret"], 170)
        self.never.phase = "Succeeded"
        self.pods = [self.web, self.other, self.sieve, self.pair, self.report, self.hidden, self.agent, self.never]
        self.seen, self.again = [], []
        self.host_attributes = {"process.pid": str(HOST_PID), "k8s.node.name": "strata-node"}
        self.host_pids = [HOST_PID, KUBELET]
        self.files = {"rate": str(RATE), "running": "30", "visited": "1", "processes": None, "mounts": MOUNTS}
        self.once()
        self.accuracy()
        self.choice()
        self.cost()
        self.faults()
        self.rights()

    def see(self, pod, container, functions, times):
        seen = Seen(pod.attributes(container), functions, times)
        self.seen.append(seen)
        return seen

    def see_host(self, pid, functions, times):
        seen = Seen({**self.host_attributes, "process.pid": str(pid)}, functions, times)
        self.seen.append(seen)
        return seen

    def once(self):
        """Something of each container that has to be there."""
        for pod, container in [(self.report, "writer"), *((self.pair, name) for name in self.pair.containers)]:
            self.see(pod, container, [pod.mark(container)], spread(0, 1, 5))
        self.host = self.see_host(HOST_PID, ["pod_none__host"], spread(0, 1, 5))
        self.kubelet = self.see_host(KUBELET, ["main"], spread(0, 1, 5))

    def accuracy(self):
        """Four seconds in which five pods take two CPUs each: no chance is left to be off."""
        begin, end = ACCURACY, ACCURACY + 4
        self.clocks, self.shares = {}, {}
        for pod, container in [
            *((self.web, "server"), (self.other, "server"), (self.sieve, "numbers")),
            *((self.pair, "left"), (self.report, "writer")),
        ]:
            functions = [LIBRARY["sieve"], "sort_numbers"] if pod is self.sieve else PYTHON
            mark = [] if pod is self.sieve else [pod.mark(container)]
            times = spread(begin, end, 8 * RATE)
            # Every second sample is of either.
            self.shares[pod.name] = [
                self.see(pod, container, [*mark, function], times[index::2]) for index, function in enumerate(functions)
            ]
            self.clocks[pod.uid, container] = [
                {"wall": at(time), "process": cpu * SECOND, "functions": dict.fromkeys(functions, cpu * SECOND // 2)}
                for time, cpu in [(begin, 0), (end, 8)]
            ]
        uids = list(dict.fromkeys(uid for uid, _ in self.clocks))
        self.measured = {
            "begin": {uid: [at(begin), 0] for uid in uids},
            "end": {uid: [at(end), 8 * SECOND] for uid in uids},
            "agent": self.agent.uid,
        }

    def choice(self):
        self.files["choice"] = f"{at(CHOICE)} {at(CHOICE + 15)} {at(CHOICE + 30)}"
        mark = [self.other.mark("server")]
        self.see(self.other, "server", mark, spread(CHOICE - 5, CHOICE + 1, 20))
        self.see(self.other, "server", mark, spread(CHOICE + 18, CHOICE + 30, 20))
        self.see(self.web, "server", [self.web.mark("server")], spread(CHOICE - 5, CHOICE + 30, 60))

    def cost(self):
        counted = {"strata_bpf_memory_bytes": 1 << 20, "strata_store_bytes": 1 << 20}
        sent = ["strata_export_sent_bytes_total", "strata_export_sent_samples_total"]
        self.costs = {
            "begin": {self.agent.uid: [at(0), 0]},
            "end": {self.agent.uid: [at(60), SECOND // 2]},
            "agent": self.agent.uid,
            "memory": [[50 * 1024, 200 * 1024]] * 3,
            "counted": [{**counted, **dict.fromkeys(sent, 1)}, {**counted, **dict.fromkeys(sent, 1000)}],
        }

    def faults(self):
        lines, self.busy = [], []
        for index, what in enumerate(["the agent is killed", "the kubelet restarts"]):
            begin = FAULTS + 30 * index
            lines.append(f"{at(begin)} {at(begin + 30)} {what}")
            for second in range(begin, begin + 30):
                self.busy.append(self.see(self.sieve, "numbers", ["count_primes"], spread(second, second + 1, RATE)))
                self.see_host(HOST_PID, ["pod_none__host"], spread(second, second + 1, RATE))
        self.files["faults"] = "\n".join(lines)

    def rights(self):
        """Rows, ten seconds each; the faults are planted into them by name."""
        self.files["rights/begin"] = str(at(RIGHTS))
        self.rows = {}
        rows = ["nothing", "BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYSLOG", "CHECKPOINT_RESTORE"]
        for index, without in enumerate(rows):
            begin = RIGHTS + 10 * index
            none = without in ("BPF", "PERFMON")
            missing = f"Strata lacks CAP_{without}, which eBPF takes." if none else ""
            doctor = "" if none or without == "nothing" else f"  warn  CAP_{without}    missing: for something"
            self.files[f"rights/{without}/window"] = f"{at(begin)} {at(begin + 9)}"
            self.files[f"rights/{without}/ready"] = "no" if none else "yes"
            self.files[f"rights/{without}/log"] = missing
            self.files[f"rights/{without}/doctor"] = f"  ok    CAP_KILL    for nothing\n{doctor}"
            self.rows[without] = {} if none else self.row(without, begin)

    def row(self, without, begin):
        blind = without == "SYS_PTRACE"
        hidden = {"DAC_READ_SEARCH": ["unreadable", "deleted"], "CHECKPOINT_RESTORE": ["deleted"]}
        kernel = [] if without == "SYSLOG" else ["do_syscall_64"]
        times = spread(begin, begin + 9, 20)

        def of_c(pod, container):
            function = LIBRARY[pod.app if pod is self.sieve else container]
            unnamed = blind or container in hidden.get(without, [])
            return self.see(pod, container, ["0x1234" if unnamed else function], times)

        python = ["0x1234"] if blind else [self.web.mark("server")]
        return {
            "Python": self.see(self.web, "server", python + kernel, times),
            "C": of_c(self.sieve, "numbers"),
            "unreadable": of_c(self.hidden, "unreadable"),
            "deleted": of_c(self.hidden, "deleted"),
        }

    def processes(self):
        first, last = at(-10), at(1000)
        for pid in self.host_pids:
            yield f"{first} {last} {pid} 1 {' '.join(watch.HOST)}"
        for pod in self.pods:
            for container, pid in pod.pids.items():
                yield f"{first} {last} {pid} 1 {pod.uid} {pod.identity(container)}"

    def write(self, folder):
        def put(name, text):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

        def events(items):
            return "\n".join(json.dumps({"type": "ADDED", "object": item}) for item in items)

        owners = [owner for pod in self.pods for owner in zip(pod.owners, [*pod.owners[1:], None])]
        for file_name, kind in [("replicasets", "ReplicaSet"), ("jobs", "Job")]:
            found = [(it[1], [reference(*above)] if above else []) for it, above in owners if it[0] == kind]
            items = [{"name": name, "uid": f"{kind}/{name}", "ownerReferences": above} for name, above in found]
            put(f"{file_name}.json", events([{"metadata": item} for item in items]))
        put("pods.json", events([pod.object() for pod in self.pods]))
        self.files["processes"] = "\n".join(self.processes())
        self.files["accuracy.json"], self.files["cost.json"] = json.dumps(self.measured), json.dumps(self.costs)
        for (uid, container), readings in self.clocks.items():
            self.files[f"clocks/{uid}.{container}"] = "\n".join(json.dumps(reading) for reading in readings)
        messages = [seen.message(f"{index:032x}") for index, seen in enumerate(self.seen)]
        messages += [messages[index] for index in self.again]
        self.files["received/profiles.json"] = "\n".join(json.dumps(message) for message in messages)
        for name, text in self.files.items():
            if text is not None:
                put(name, text)


def complaints(judge, story):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        story.write(pathlib.Path(folder))
        return list(judge.judge(pathlib.Path(folder)))


# Each fault changes what the Collector got, or what the truth is.


def named_as(seen, pod):
    """Under another pod's names."""
    names = pod.attributes(pod.containers[0])
    seen.attributes.update({key: value for key, value in names.items() if key.startswith("k8s.")})


def web(story):
    return story.shares["web-a"][0]


def change(seen, key, value):
    seen.attributes[key] = value


def host_is_unmarked(story):
    for seen in story.seen:
        if "pod_none__host" in seen.functions:
            seen.functions = ["main"]


def unseen(story, container="server"):
    """A process that was over before anybody looked, under a pod's names."""
    attributes = {**story.web.attributes(container), "process.pid": "9999"}
    seen = Seen(attributes, ["main"], spread(0, 1, 5))
    story.seen.append(seen)
    return seen


def without_samples(pod, container):
    def plant(story):
        identity = getattr(story, pod).identity(container)
        story.seen = [seen for seen in story.seen if seen.attributes.get("container.id") != identity]

    return plant


def nobody_knows(count, names=False):
    def plant(story):
        seen = unseen(story)
        seen.times = spread(0, 1, count)
        if not names:
            seen.attributes = {"process.pid": "9999"}

    return plant


def in_row(without, column, functions=None):
    """What a row has in a column: other functions, or no samples."""

    def plant(story):
        seen = story.rows[without][column]
        if functions is None:
            story.seen.remove(seen)
        else:
            seen.functions = functions

    return plant


def file(name, text):
    return lambda story: story.files.update({name: text})


def silent(without):
    """Nothing names the right."""

    def plant(story):
        # Rights that are there have names too.
        story.files[f"rights/{without}/log"] = f"INFO it keeps CAP_{without}\n"
        story.files[f"rights/{without}/doctor"] = f"  ok    CAP_{without}    for something\n  missing: the moon"

    return plant


def no_kernel(story):
    for seen in story.rows["nothing"].values():
        seen.functions = [name for name in seen.functions if name != "do_syscall_64"]


def sampled_without_a_right(story):
    begin = int(story.files["rights/BPF/window"].split()[0])
    story.see(story.web, "server", [story.web.mark("server")], [begin + 1])


def nameless_row(story):
    seen = story.rows["SYS_PTRACE"]["C"]
    seen.attributes = {"process.pid": seen.attributes["process.pid"]}


def second_agent(seconds, share):
    """Samples once more, in some seconds, under other ids, as a second agent has them."""

    def plant(story):
        for index in range(seconds):
            second = FAULTS + 10 + index
            story.see_host(KUBELET, ["main"], spread(second, second + 1, round(2 * RATE * share)))

    return plant


def gap(story):
    for seen in story.busy[31:43]:
        story.seen.remove(seen)


def late(story):
    story.see(story.other, "server", [story.other.mark("server")], [at(CHOICE + 3)])


def late_without_names(story):
    seen = story.see(story.other, "server", [story.other.mark("server")], [at(CHOICE + 3)])
    seen.attributes = {"process.pid": "9999"}


def not_back(story):
    story.files["choice"] = f"{at(CHOICE)} {at(CHOICE + 28)} {at(CHOICE + 29)}"
    other = story.other.uid
    story.seen = [it for it in story.seen if it.attributes.get("k8s.pod.uid") != other or it.times[0] < at(CHOICE)]


def of_never(attributes, functions=("main",)):
    def plant(story):
        whole = story.never.attributes("secret")
        found = {key: whole[key] for key in attributes}
        marks = [story.never.mark("secret") if name == "mark" else name for name in functions]
        story.seen.append(Seen(found, marks, [at(50)]))

    return plant


def never_ran(story):
    story.never.phase = "Failed"


def share_off(story):
    """A share of 50 % is 54 %."""
    one, other = story.shares["web-a"]
    moved = len(one.times) * 8 // 100
    one.times = one.times + other.times[:moved]
    other.times = other.times[moved:]


def total_off(story):
    for seen in story.shares["sieve-a"]:
        seen.times = seen.times[: len(seen.times) * 95 // 100]


def no_clock(story):
    readings = story.clocks[story.sieve.uid, "numbers"]
    del readings[1:]


def other_container(story):
    """All of the pod's samples are under another container's name."""
    for seen in story.shares["web-a"]:
        seen.attributes["k8s.container.name"] = "sidecar"


def no_clocks(*pods):
    def plant(story):
        uids = [getattr(story, pod).uid for pod in pods]
        story.clocks = {key: readings for key, readings in story.clocks.items() if key[0] not in uids}

    return plant


def cpu(percent):
    return lambda story: story.costs["end"][story.agent.uid].__setitem__(1, round(60 * SECOND * percent / 100))


def memory(resident, charged):
    return lambda story: story.costs["memory"].append([resident * 1024, charged * 1024])


NAMES, RIGHTS_, FAULTS_ = judged.names, judged.rights, judged.faults
CHOICE_, SHARES, COST, WRITABLE = judged.choice, judged.shares, judged.cost, judged.writable
# Words of the complaint, the judge that has to make it, and what is planted.
PLANTED = [
    ("shop-a deployment web have wrong names", NAMES, lambda it: named_as(web(it), it.other)),
    ("k8s.pod.name", NAMES, lambda it: change(web(it), "k8s.pod.name", "forged")),
    ("container.id", NAMES, lambda it: change(web(it), "container.id", it.sieve.identity("numbers"))),
    ("k8s.container.name", NAMES, lambda it: change(it.seen[1], "k8s.container.name", "right")),
    ("lack k8s.deployment.name", NAMES, lambda it: web(it).attributes.pop("k8s.deployment.name")),
    ("no pod have wrong names", NAMES, lambda it: named_as(it.kubelet, it.web)),
    ("no pod have wrong names", NAMES, lambda it: named_as(it.host, it.web)),
    ("no pod have wrong names", NAMES, lambda it: change(it.kubelet, "k8s.container.name", "server")),
    ("no pod have wrong names", NAMES, lambda it: change(it.kubelet, "container.id", it.web.identity("server"))),
    ("kubectl did not tell of", NAMES, lambda it: change(web(it), "k8s.pod.uid", STRANGER)),
    ("kubectl did not tell of", NAMES, lambda it: change(unseen(it), "k8s.pod.uid", STRANGER)),
    ("nobody knows have wrong names", NAMES, lambda it: unseen(it).attributes.pop("container.id")),
    ("nobody knows have wrong names", NAMES, lambda it: change(unseen(it), "container.id", "0" * 64)),
    ("shop-b deployment web have", NAMES, lambda it: change(unseen(it), "container.id", it.other.identity("server"))),
    ("shop-a deployment web have", NAMES, lambda it: change(unseen(it), "k8s.pod.name", "web-b")),
    ("samples nobody knows whose they are", NAMES, nobody_knows(3000)),
    ("are named, and nobody knows whose they are", NAMES, nobody_knows(1000, names=True)),
    ("no sample of shop-b deployment web", NAMES, without_samples("other", "server")),
    ("no sample of shop-a deployment sieve", NAMES, without_samples("sieve", "numbers")),
    ("no sample of shop-a cronjob report", NAMES, without_samples("report", "writer")),
    ("no sample of shop-a statefulset pair, prepare", NAMES, without_samples("pair", "prepare")),
    ("no sample of shop-a statefulset pair, left", NAMES, without_samples("pair", "left")),
    ("no sample of shop-a statefulset pair, right", NAMES, without_samples("pair", "right")),
    ("no sample of shop-a statefulset pair, visitor", NAMES, without_samples("pair", "visitor")),
    ("no sample of no pod, host", NAMES, host_is_unmarked),
    ("/etc/resolv.conf can be written to", WRITABLE, file("mounts", MOUNTS.replace("ro,relatime - ext4", "rw - ext4"))),
    ("/ can be written to", WRITABLE, file("mounts", MOUNTS.replace("/ / ro", "/ / rw"))),
    ("the store can't be written to", WRITABLE, file("mounts", MOUNTS.replace("rw,relatime - ext4", "ro - ext4"))),
    ("without nothing Python is 0.0 %", RIGHTS_, in_row("nothing", "Python", ["0x1234", "do_syscall_64"])),
    ("without nothing C is 0.0 %", RIGHTS_, in_row("nothing", "C", ["0x1234"])),
    ("without nothing deleted is 0.0 %", RIGHTS_, in_row("nothing", "deleted", ["0x1234"])),
    ("without nothing kernel is 0.0 %", RIGHTS_, no_kernel),
    ("without SYSLOG there is no sample for the column unreadable", RIGHTS_, in_row("SYSLOG", "unreadable")),
    ("without SYS_PTRACE pods is", RIGHTS_, nameless_row),
    ("without SYS_PTRACE C is 100.0 %", RIGHTS_, in_row("SYS_PTRACE", "C", ["sort_numbers"])),
    ("without DAC_READ_SEARCH unreadable is 100", RIGHTS_, in_row("DAC_READ_SEARCH", "unreadable", ["sort_numbers"])),
    ("without CHECKPOINT_RESTORE deleted is 100.0 %", RIGHTS_, in_row("CHECKPOINT_RESTORE", "deleted", ["mix_words"])),
    ("without SYSLOG kernel is", RIGHTS_, in_row("SYSLOG", "Python", ["do_syscall_64"])),
    ("without BPF the agent is ready", RIGHTS_, file("rights/BPF/ready", "yes")),
    ("without PERFMON neither", RIGHTS_, silent("PERFMON")),
    ("without SYSLOG neither", RIGHTS_, silent("SYSLOG")),
    ("without SYSLOG the agent is not ready", RIGHTS_, file("rights/SYSLOG/ready", "no")),
    ("says that it lacks BPF", RIGHTS_, file("rights/nothing/doctor", "warn CAP_BPF missing: for maps")),
    ("without BPF there are 1 samples", RIGHTS_, sampled_without_a_right),
    ("without SYSLOG nothing was tried", RIGHTS_, file("rights/SYSLOG/window", None)),
    ("within 1 s", FAULTS_, second_agent(1, 1)),
    ("within 10 s", FAULTS_, second_agent(10, 0.2)),
    ("1 profiles came twice", FAULTS_, lambda it: it.again.append(0)),
    ("the kubelet restarts: nothing was sampled in 1", FAULTS_, gap),
    ("younger than its opting out", CHOICE_, late),
    ("younger than its opting out", CHOICE_, late_without_names),
    ("there is no sample: back", CHOICE_, not_back),
    ("never to be sampled", CHOICE_, of_never(["k8s.namespace.name"])),
    ("never to be sampled", CHOICE_, of_never(["container.id"])),
    ("never to be sampled", CHOICE_, of_never(["process.pid"])),
    ("never to be sampled", CHOICE_, of_never([], ["mark"])),
    ("did its work", CHOICE_, never_ran),
    ("by its own clock 50.0%", SHARES, share_off),
    ("CPU time is off by -5", SHARES, total_off),
    ("there is no sample of it", SHARES, other_container),
    ("clocks were not told", SHARES, no_clock),
    ("no service in C", SHARES, no_clocks("sieve")),
    ("no service in Python", SHARES, no_clocks("web", "other", "pair")),
    ("11.00 % of a CPU", COST, cpu(11)),
    ("takes 200.0 MiB", COST, memory(200, 300)),
    ("charged with 450.0 MiB", COST, memory(50, 450)),
    ("is charged with could not be read", COST, memory(50, 0)),
    ("only 12 pods", COST, file("running", "12")),
]  # fmt: skip


class Judges(unittest.TestCase):
    def test_a_good_story_holds(self):
        for judge in [NAMES, RIGHTS_, FAULTS_, CHOICE_, SHARES, COST, WRITABLE]:
            with self.subTest(judge.__name__):
                self.assertEqual(complaints(judge, Story()), [])

    def test_each_fault_is_found(self):
        for words, judge, plant in PLANTED:
            with self.subTest(f"{judge.__name__}: {words}"):
                story = Story()
                plant(story)
                found = complaints(judge, story)
                self.assertTrue(any(words in complaint for complaint in found), f"{found}")

    def test_what_nobody_knows_is_not_right(self):
        story = Story()
        without_samples("web", "server")(story)
        unseen(story)
        self.assertIn("there is no sample of shop-a deployment web, server", complaints(NAMES, story))


class Truth(unittest.TestCase):
    """What is read of the machine itself."""

    def test_a_process_of_the_host_is_known_from_its_start_on(self):
        seen, before = {}, time.time_ns()
        # Wherever this test itself runs.
        with mock.patch.object(watch, "in_no_pod", lambda _: True):
            watch.look_outside(set(), seen, {})
        mine = (str(os.getpid()), watch.start_of("self"), *watch.HOST)
        self.assertLess(seen[mine][0], before)
        self.assertGreaterEqual(seen[mine][1], before)
        self.assertFalse([key for key in seen if not key[1]])

    def test_one_in_a_pod_is_none_of_the_host(self):
        seen = {}
        with mock.patch.object(watch, "in_no_pod", lambda _: False):
            watch.look_outside(set(), seen, {})
        self.assertFalse(seen)

    def test_charged_memory_of_either_version(self):
        for folder, name in [("memory", "usage_in_bytes"), ("unified", "current"), ("", "current")]:
            with self.subTest(folder), tempfile.TemporaryDirectory() as cgroups:
                pod = pathlib.Path(cgroups, folder, "kubepods/burstable/podUID")
                pod.mkdir(parents=True)
                self.assertEqual(window.charged("UID", pathlib.Path(cgroups)), 0)
                (pod / f"memory.{name}").write_text("4096\n")
                self.assertEqual(window.charged("UID", pathlib.Path(cgroups)), 4)


if __name__ == "__main__":
    unittest.main()
