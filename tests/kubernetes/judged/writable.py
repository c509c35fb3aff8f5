"""What the agent can write to in its pod: the store, and what a runtime gives every container."""

STORE = "/var/lib/strata"
# File systems of memory alone (with cgroup v1 one that holds the hierarchies, which are read-only), and two files of the
# pod's that the kubelet makes: its last words and its hosts.
GIVEN = {"/proc", "/dev", "/dev/pts", "/dev/mqueue", "/dev/shm", "/sys/fs/cgroup", "/dev/termination-log", "/etc/hosts"}


def writable(line):
    """The place of a line of mountinfo, if it can be written to."""
    mount, _, file_system = line.partition(" - ")
    _, _, _, root, place, options, *_ = mount.split()
    # A file that the runtime hides has the null device in its place.
    if root == "/null":
        return None
    can = "rw" in options.split(",") and "rw" in file_system.split()[2].split(",")
    return place if can else None


def judge(folder):
    lines = [line for line in (folder / "mounts").read_text().splitlines() if line]
    found = {place for place in map(writable, lines) if place}
    print(f"of {len(lines)} mounts these can be written to: {', '.join(sorted(found))}")
    for place in sorted(found - GIVEN - {STORE}):
        yield f"{place} can be written to"
    if STORE not in found:
        yield "the store can't be written to"
