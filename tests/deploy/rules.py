"""What the manifests promise, beside being valid: the least rights, a store that outlives pods, one agent a node, names
that agree with each other."""

import re
import tomllib

CAPABILITIES = {"BPF", "PERFMON", "SYS_PTRACE", "DAC_READ_SEARCH", "SYSLOG", "CHECKPOINT_RESTORE"}
STORE = "/var/lib/strata"
# As docs/agent.md has them; what the manifests say goes before.
DEFAULTS = {"flush-deadline": "10s", "listen": "127.0.0.1:7071"}
ASKED = {
    ("", "pods"): {"list", "watch"},
    ("apps", "replicasets"): {"get"},
    ("batch", "jobs"): {"get"},
}


class Manifests:
    def __init__(self, objects):
        self.objects = objects

    def of(self, kind):
        return [it for it in self.objects if it["kind"] == kind]

    def one(self, kind):
        found = self.of(kind)
        if len(found) != 1:
            raise KeyError(f"there are {len(found)} of kind {kind}, not one")
        return found[0]

    @property
    def daemonset(self):
        return self.one("DaemonSet")["spec"]

    @property
    def pod(self):
        return self.daemonset["template"]["spec"]

    @property
    def container(self):
        return self.pod["containers"][0]

    @property
    def rights(self):
        return self.container["securityContext"]

    @property
    def settings(self):
        """The ConfigMap's file and the variables, which go before it."""
        maps = [it["configMap"]["name"] for it in self.pod["volumes"] if "configMap" in it]
        data = next(it["data"] for it in self.of("ConfigMap") if it["metadata"]["name"] == maps[0])
        settings = {**DEFAULTS, **tomllib.loads(data["strata.toml"])}
        for variable in self.container["env"]:
            if variable["name"].startswith("STRATA_"):
                name = variable["name"].removeprefix("STRATA_").lower().replace("_", "-")
                settings[name] = variable.get("value", "(of the pod)")
        return settings

    def variable(self, name):
        return next((it for it in self.container["env"] if it["name"] == name), {})

    def mount(self, name):
        return next(it for it in self.container["volumeMounts"] if it["name"] == name)

    def volume(self, name):
        return next(it for it in self.pod["volumes"] if it["name"] == name)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def check(objects, known, more=frozenset(), seccomp="RuntimeDefault"):
    """`known`: names of settings. `more`: capabilities beyond the usual ones that are meant; `seccomp`: the profile that is."""
    found = []

    def need(right, what):
        if not right:
            found.append(what)

    try:
        every(Manifests(objects), known, set(more), seccomp, need)
    except (KeyError, StopIteration, IndexError, TypeError, AttributeError) as error:
        found.append(f"something that every rendering has is missing: {error!r}")
    return found


def every(it, known, more, seccomp, need):
    least_rights(it, more, seccomp, need)
    reads_only(it, need)
    asks_little(it, need)
    runs_everywhere(it, need)
    ends_in_order(it, need)
    agrees(it, known, need)


def least_rights(it, more, seccomp, need):
    pod, rights = it.pod, it.rights
    need(len(pod["containers"]) == 1 and not pod.get("initContainers"), "there is another container")
    need(pod.get("hostPID") is True, "hostPID is not there: samples have the host's pids")
    need(not pod.get("hostNetwork") and not pod.get("hostIPC"), "the host's network or IPC is not needed")
    need(rights.get("privileged") is False, "privileged is not refused")
    need(rights.get("allowPrivilegeEscalation") is False, "privilege escalation is not refused")
    need(rights.get("readOnlyRootFilesystem") is True, "the root file system can be written to")
    need(rights["capabilities"].get("drop") == ["ALL"], "not all capabilities are dropped first")
    added = rights["capabilities"].get("add", [])
    need(set(added) == CAPABILITIES | more and len(added) == len(set(added)), f"other capabilities: {sorted(added)}")
    users = {key: rights.get(key, pod["securityContext"].get(key)) for key in ("runAsUser", "runAsGroup")}
    # Capabilities reach no other user.
    need(users == {"runAsUser": 0, "runAsGroup": 0}, f"another user than 0: {users}")
    profile = rights.get("seccompProfile", pod["securityContext"].get("seccompProfile"))
    need(profile == {"type": seccomp}, f"seccomp is {profile}, not {seccomp}")
    need(not rights.get("procMount"), "procMount is not the usual one")


def reads_only(it, need):
    for volume in it.pod["volumes"]:
        name = volume["name"]
        kind = next(key for key in volume if key != "name")
        need(kind in {"configMap", "secret", "hostPath"}, f"the volume {name} is a {kind}")
        mount = it.mount(name)
        if kind == "hostPath":
            # The store refuses a folder that others may write to; the kubelet makes one that only root may.
            need(volume[kind] == {"path": STORE, "type": "DirectoryOrCreate"}, f"another hostPath: {volume[kind]}")
            need(mount["mountPath"] == it.settings.get("store", STORE), "the store is not where the agent keeps it")
        else:
            need(mount.get("readOnly") is True, f"the volume {name} can be written to")
            need(volume[kind].get("defaultMode", 0o644) & 0o007 == 0, f"every user may read the volume {name}")
        need("mountPropagation" not in mount, f"the mounts of {name} are propagated")
    secrets = [volume["secret"] for volume in it.pod["volumes"] if "secret" in volume]
    need(all(secret.get("optional") for secret in secrets), "without credentials, pods do not start")


def asks_little(it, need):
    rules = {}
    for rule in it.one("ClusterRole")["rules"]:
        for group in rule.get("apiGroups", []):
            for resource in rule.get("resources", []):
                rules.setdefault((group, resource), set()).update(rule["verbs"])
        need(not rule.get("nonResourceURLs"), "the role has URLs")
    need(rules == ASKED, f"the role allows something else: {rules}")
    need(not it.of("Role") and not it.of("RoleBinding"), "there is another role")
    binding, account = it.one("ClusterRoleBinding"), it.one("ServiceAccount")["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    need(binding["subjects"] == [subject], f"somebody else is bound to the role: {binding['subjects']}")
    need(binding["roleRef"]["name"] == it.one("ClusterRole")["metadata"]["name"], "another role is bound")
    need(it.pod.get("serviceAccountName") == account["name"], "the pods have another account")


def runs_everywhere(it, need):
    pod, container = it.pod, it.container
    need(pod.get("tolerations") == [{"operator": "Exists"}], "not every taint is tolerated")
    need(pod.get("priorityClassName") == "system-node-critical", "the pods have no priority")
    resources = container["resources"]
    need({"cpu", "memory"} <= set(resources["requests"]), "there are no requests")
    need(set(resources["limits"]) == {"memory"}, "memory, and memory alone, has to be limited")
    need(pod.get("dnsPolicy") == "ClusterFirst", "names of services are not resolved")
    need(pod.get("enableServiceLinks") is False, "services become variables")
    of = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    of_node = it.variable("STRATA_NODE_NAME").get("valueFrom", {})
    need(of_node.get("fieldRef", {}).get("fieldPath") == of["fieldRef"]["fieldPath"], "the node's name is not told")
    image = container["image"]
    need(re.search(r":\d+\.\d+\.\d+[^/]*$", image), f"the image {image} has no version")
    need(container.get("command") == ["/strata", "agent"], "the image's own command is relied on")


def ends_in_order(it, need):
    rolling = it.daemonset["updateStrategy"]
    need(rolling["type"] == "RollingUpdate", "updates do not roll")
    need(rolling["rollingUpdate"].get("maxSurge", 0) == 0, "two agents at once on a node")
    grace, flush = it.pod["terminationGracePeriodSeconds"], seconds(it.settings["flush-deadline"])
    need(grace >= flush + 5, f"{grace} s of grace are too short for {flush} s of flushing")
    address, port = it.settings["listen"].rsplit(":", 1)
    need(address in {"0.0.0.0", "[::]"}, f"probes do not reach {address}")
    ports = {it["name"]: it["containerPort"] for it in it.container["ports"]}
    for probe, path in [("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")]:
        get = it.container.get(probe, {}).get("httpGet", {})
        need(get.get("path") == path, f"{probe} does not ask {path}")
        need(str(ports.get(get.get("port"))) == port, f"{probe} asks another port than {port}")


def agrees(it, known, need):
    need(it.one("Namespace")["metadata"]["name"] == "strata", "another namespace")
    for each in it.objects:
        cluster_wide = each["kind"] in {"Namespace", "ClusterRole", "ClusterRoleBinding"}
        namespace = each["metadata"].get("namespace")
        name = f"{each['kind']}/{each['metadata']['name']}"
        need(cluster_wide or namespace == "strata", f"{name} is in the namespace {namespace}")
        need(each["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "strata", f"{name} has no label")
    labels = it.daemonset["template"]["metadata"]["labels"]
    selectors = [it.daemonset["selector"]["matchLabels"]]
    selectors += [monitor["spec"]["selector"]["matchLabels"] for monitor in it.of("PodMonitor")]
    selectors += [policy["spec"]["podSelector"]["matchLabels"] for policy in it.of("NetworkPolicy")]
    need(all(selector.items() <= labels.items() for selector in selectors), "a selector does not find the pods")
    names = {port["name"] for port in it.container["ports"]}
    ends = [end["port"] for monitor in it.of("PodMonitor") for end in monitor["spec"]["podMetricsEndpoints"]]
    need(set(ends) <= names, f"a PodMonitor asks the ports {ends}")
    unknown = set(it.settings) - known
    need(not unknown, f"no settings of the agent: {sorted(unknown)}")


def setting(path, value):
    """A fault: something below the pod, the container or its rights has another value."""
    place, *keys = path.split(".")

    def spoil(it):
        target = getattr(it, place)
        for key in keys[:-1]:
            target = target[key]
        if value is None:
            target.pop(keys[-1])
        else:
            target[keys[-1]] = value

    return spoil


# Words of the rule that has to find it, and what is spoiled.
FAULTS = [
    ("privileged", setting("rights.privileged", True)),
    ("privilege escalation", setting("rights.allowPrivilegeEscalation", None)),
    ("root file system", setting("rights.readOnlyRootFilesystem", False)),
    ("dropped first", setting("rights.capabilities.drop", ["NET_RAW"])),
    ("other capabilities", lambda it: it.rights["capabilities"]["add"].append("SYS_ADMIN")),
    ("other capabilities", lambda it: it.rights["capabilities"]["add"].remove("SYSLOG")),
    ("seccomp", setting("rights.seccompProfile", {"type": "Unconfined"})),
    ("seccomp", setting("pod.securityContext.seccompProfile", None)),
    ("another user", setting("rights.runAsUser", 1000)),
    ("hostPID", setting("pod.hostPID", None)),
    ("network or IPC", setting("pod.hostNetwork", True)),
    ("another container", lambda it: it.pod["containers"].append(dict(it.container, name="other"))),
    ("another hostPath", lambda it: it.volume("store")["hostPath"].update(path="/")),
    ("can be written to", lambda it: it.mount("settings").pop("readOnly")),
    ("is a emptyDir", lambda it: it.pod["volumes"].append({"name": "tmp", "emptyDir": {}})),
    ("do not start", lambda it: it.volume("credentials")["secret"].pop("optional")),
    ("every user may read", lambda it: it.volume("credentials")["secret"].update(defaultMode=0o644)),
    ("not where the agent keeps it", lambda it: it.mount("store").update(mountPath="/data")),
    ("allows something else", lambda it: it.one("ClusterRole")["rules"][0]["resources"].append("secrets")),
    ("allows something else", lambda it: it.one("ClusterRole")["rules"][0]["verbs"].append("delete")),
    ("somebody else", lambda it: it.one("ClusterRoleBinding")["subjects"][0].update(name="default")),
    ("another account", setting("pod.serviceAccountName", "default")),
    ("taint", setting("pod.tolerations", [])),
    ("no priority", setting("pod.priorityClassName", None)),
    ("no requests", setting("container.resources.requests", {"cpu": "1"})),
    ("memory alone", setting("container.resources.limits", {"memory": "1Gi", "cpu": "1"})),
    ("become variables", setting("pod.enableServiceLinks", None)),
    ("node's name", lambda it: it.container["env"].remove(it.variable("STRATA_NODE_NAME"))),
    ("has no version", setting("container.image", "localhost/strata:latest")),
    ("two agents", setting("daemonset.updateStrategy.rollingUpdate.maxSurge", 1)),
    ("too short", setting("pod.terminationGracePeriodSeconds", 5)),
    ("do not reach", lambda it: it.variable("STRATA_LISTEN").update(value="127.0.0.1:7071")),
    ("another port", lambda it: it.variable("STRATA_LISTEN").update(value="0.0.0.0:80")),
    ("does not ask", setting("container.livenessProbe.httpGet.path", "/")),
    ("no settings", lambda it: it.container["env"].append({"name": "STRATA_STORE_SICE", "value": "1GiB"})),
    ("no settings", lambda it: it.of("ConfigMap")[0]["data"].update({"strata.toml": "store-sice = '1GiB'"})),
    ("does not find", setting("daemonset.template.metadata.labels", {"app": "strata"})),
    ("in the namespace", lambda it: it.one("ServiceAccount")["metadata"].update(namespace="default")),
    ("is not valid for Kubernetes 1.30", setting("pod.hostPid", True)),
    ("is not valid for Kubernetes 1.37", setting("container.livenessProbe.httpGet.port", {"name": "http"})),
    ("is missing", lambda it: it.objects.remove(it.one("ClusterRole"))),
]
