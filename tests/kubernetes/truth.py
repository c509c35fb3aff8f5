"""Who is who, by those who know: the API server for pods and their owners, the cgroups for processes. Nothing here
comes from the agent."""

import json

OWNERS = {
    "Deployment": "k8s.deployment.name",
    "ReplicaSet": "k8s.replicaset.name",
    "StatefulSet": "k8s.statefulset.name",
    "DaemonSet": "k8s.daemonset.name",
    "Job": "k8s.job.name",
    "CronJob": "k8s.cronjob.name",
}
NAMES = set(OWNERS.values()) | {
    "k8s.pod.name", "k8s.pod.uid", "k8s.namespace.name", "k8s.node.name", "k8s.container.name",
}  # fmt: skip


def objects(path):
    """What `kubectl get -w -o json --output-watch-events` printed: JSON after JSON. One may be cut where a watch broke
    off."""
    decoder = json.JSONDecoder()
    text = path.read_text()
    at = 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        try:
            event, at = decoder.raw_decode(text, at)
        except ValueError:
            at = text.find("\n{", at) + 1
            if not at:
                return
            continue
        found = event["object"] if "object" in event else event
        yield from found.get("items", [found])


class Cluster:
    """All pods that there ever were during the story."""

    def __init__(self, folder):
        self.owners = {}
        for kind in ["replicasets", "jobs"]:
            for item in objects(folder / (kind + ".json")):
                self.owners[item["metadata"]["uid"]] = item
        self.pods = {item["metadata"]["uid"]: item for item in objects(folder / "pods.json")}
        self.containers = {}  # container id -> (pod's uid, container's name)
        for item in objects(folder / "pods.json"):
            status = item.get("status", {})
            for kind in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]:
                for container in status.get(kind, []):
                    states = [container, container.get("state", {}), container.get("lastState", {})]
                    states += [inner for state in states[1:] for inner in state.values()]
                    for state in states:
                        identity = state.get("containerID", "").split("//")[-1]
                        if identity:
                            self.containers[identity] = (item["metadata"]["uid"], container["name"])
        # pid -> [(first seen, last seen, pod's uid, container id)], both None for one that is in no pod
        self.processes = {}
        # container id -> pod's uid, by the cgroups: also for the one that holds a pod's namespaces
        self.held = {}
        lines = [line.split() for line in (folder / "processes").read_text().splitlines()]
        # What is a container's first process is made outside of the pod and then moved into it: whose it is until then
        # is a question of words.
        moved = {(fields[2], fields[3]) for fields in lines if len(fields) == 6 and fields[4] != "none"}
        for fields in lines:
            if len(fields) == 6:
                first, last, pid, start, pod, container = fields
                if pod == "none":
                    if (pid, start) in moved:
                        continue
                    pod = container = None
                else:
                    self.held[container] = pod
                self.processes.setdefault(int(pid), []).append((int(first), int(last), pod, container))

    def names(self, pod, container=None):
        """The attributes that everything of this pod has to have, and no others of that kind."""
        item = self.pods[pod]
        meta = item["metadata"]
        names = {
            "k8s.pod.name": meta["name"],
            "k8s.pod.uid": meta["uid"],
            "k8s.namespace.name": meta["namespace"],
            "k8s.node.name": item["spec"].get("nodeName", ""),
        }
        if container:
            names["k8s.container.name"] = container
        while item:
            above = [o for o in item["metadata"].get("ownerReferences", []) if o.get("controller")]
            item = None
            for owner in above:
                if owner["kind"] in OWNERS:
                    names[OWNERS[owner["kind"]]] = owner["name"]
                item = self.owners.get(owner["uid"])
        return names

    def of_container(self, identity):
        """The pod and, if kubectl tells of it, the name of a container."""
        pod = self.held.get(identity)
        return self.containers.get(identity, (pod, None) if pod else None)

    def of_process(self, pid, time):
        """The pod and container of a process at a time, both None for one of the host, if it was seen then."""
        for first, last, pod, container in self.processes.get(pid, []):
            if first <= time <= last:
                return pod, container
        return None
