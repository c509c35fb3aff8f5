"""What the Python workloads have in common: arguments, the word `ready`, the end, the truth.

A workload prints `ready` as soon as everything that it does from then on belongs to its steady state, and goes on until
SIGTERM comes or --seconds are over. Then it prints one line of JSON: what it measured of itself. The flag is an attribute
so that asking for it costs no frame. Runs on CPython 3.8 and newer, also where /proc is missing (in a chroot).
"""

import argparse
import json
import os
import signal
import sys


class Flag:
    """`set` once the workload has been told to end."""

    set = False


STOP = Flag()


def _stop(_signal, _frame):
    STOP.set = True


def arguments(**extra):
    """Parses --seconds and the flags given by name with their help."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60, help="end after so long")
    for name, text in extra.items():
        parser.add_argument("--" + name.replace("_", "-"), action="store_true", help=text)
    found = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(max(1, found.seconds))
    return found


def ready():
    """Says that the steady state has begun."""
    print("ready", os.getpid(), flush=True)


def tell(truth):
    """Prints the truth and ends: nothing runs after it that a sample could meet."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    truth["version"] = "%d.%d" % sys.version_info[:2]
    print(json.dumps(truth), flush=True)


class Recorder:
    """A trace function, called for every instruction, that keeps each stack it meets as a path in a tree."""

    def __init__(self):
        self.frames = {}
        self.nodes = {}

    def path(self, frame):
        parent = -1 if frame.f_back is None else self.path(frame.f_back)
        code = frame.f_code
        line = frame.f_lineno
        name = getattr(code, "co_qualname", code.co_name)
        key = (name, code.co_filename, 0 if line is None else line)
        number = self.frames.setdefault(key, len(self.frames))
        return self.nodes.setdefault((parent, number), len(self.nodes))

    def __call__(self, frame, event, _argument):
        frame.f_trace_opcodes = True
        if event != "exception":
            self.path(frame)
        return self

    def truth(self, carriers):
        """The tree: {"frames": [[name, file, line]…], "nodes": [[parent or -1, frame, may be a leaf]…]}, root first. Line 0
        stands for an instruction without one. The functions named as carriers only call others and are no leaves."""
        names = [name for name, _, _ in self.frames]
        return {
            "frames": [list(key) for key in self.frames],
            "nodes": [[parent, frame, names[frame] not in carriers] for parent, frame in self.nodes],
        }
