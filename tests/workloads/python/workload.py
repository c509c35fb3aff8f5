"""What the Python workloads have in common: arguments, the word `ready`, the end, the truth.

A workload prints `ready` as soon as everything that it does from then on belongs to its steady state, and goes on until
SIGTERM comes or --seconds are over. Then it prints one line of JSON: what it measured of itself. The flag is an attribute
so that asking for it costs no frame. Runs on CPython 3.8 and newer, also where /proc is missing (in a chroot).
"""

import argparse
import dis
import functools
import inspect
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
    """Parses --seconds, --cpu-seconds and the flags given by name with their help."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60, help="end after so long")
    parser.add_argument("--cpu-seconds", type=float, default=0.0, help="end after so much CPU time")
    for name, text in extra.items():
        parser.add_argument("--" + name.replace("_", "-"), action="store_true", help=text)
    found = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _stop)
    signal.alarm(max(1, found.seconds))
    signal.setitimer(signal.ITIMER_PROF, found.cpu_seconds)
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
    """A trace function, called for every instruction, that keeps each stack it meets as a path in a tree.

    From 3.11 on a function's first instructions come before the one that calls a trace function, and a generator is made by
    such an instruction in a frame of its own, below whoever calls the generator function. What can be met there is added
    from the bytecode.
    """

    GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

    def __init__(self):
        self.frames = {}
        self.nodes = {}
        self.codes = {}

    def key(self, code, line):
        name = getattr(code, "co_qualname", code.co_name)
        key = (name, code.co_filename, 0 if line is None else line)
        self.codes[key] = code
        return self.frames.setdefault(key, len(self.frames))

    def add(self, parent, code, line):
        return self.nodes.setdefault((parent, self.key(code, line)), len(self.nodes))

    def path(self, frame):
        return self.add(self.parent(frame), frame.f_code, frame.f_lineno)

    def parent(self, frame):
        return -1 if frame.f_back is None else self.path(frame.f_back)

    def __call__(self, frame, _event, _argument):
        # Called as a frame is entered, or a generator goes on; all that is above stays as it is until it is left.
        frame.f_trace_opcodes = True
        code = frame.f_code
        parent = self.parent(frame)
        for line in first_lines(code) | {frame.f_lineno}:
            self.add(parent, code, line)

        def step(frame, event, _argument):
            if event != "exception":
                self.add(parent, code, frame.f_lineno)
            return step

        return step

    def add_made_generators(self):
        generators = {}
        for code in set(self.codes.values()):
            if code.co_flags & self.GENERATORS:
                generators.setdefault(code.co_name, []).append(code)
        keys = list(self.frames)
        for (_, frame), node in list(self.nodes.items()):
            called = names_on_line(self.codes[keys[frame]], keys[frame][2])
            for code in (code for name in called & generators.keys() for code in generators[name]):
                for line in first_lines(code):
                    self.add(node, code, line)

    def truth(self, carriers):
        """The tree: {"frames": [[name, file, line]…], "nodes": [[parent or -1, frame, may be a leaf]…]}, root first. Line 0
        stands for an instruction without one. The functions named as carriers only call others and are no leaves."""
        self.add_made_generators()
        names = [name for name, _, _ in self.frames]
        return {
            "frames": [list(key) for key in self.frames],
            "nodes": [[parent, frame, names[frame] not in carriers] for parent, frame in self.nodes],
        }


@functools.lru_cache(maxsize=None)
def first_lines(code):
    """The lines of the instructions up to the first one that can be traced. None before 3.11, where that is the very first."""
    if sys.version_info < (3, 11):
        return frozenset()
    traced = next(found.offset for found in dis.get_instructions(code) if found.opname == "RESUME")
    return frozenset(line for begin, _, line in code.co_lines() if begin <= traced)


@functools.lru_cache(maxsize=None)
def names_on_line(code, line):
    """The names of everything that a line of code loads, and so of everything that it may call."""
    lines = [(begin, end) for begin, end, number in code.co_lines() if number == line] if sys.version_info >= (3, 11) else []
    found = set()
    for instruction in dis.get_instructions(code):
        if any(begin <= instruction.offset < end for begin, end in lines):
            value = instruction.argval
            found.add(value if isinstance(value, str) else getattr(value, "co_name", ""))
    return found
