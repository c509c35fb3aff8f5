"""Exercises: code objects that are freed and whose address is used again by another.

Two functions of unlike names, files and lines are compiled, called for about 20 ms, and freed, in turns: `call_first` makes
and calls `first_life`, `call_other` makes and calls `other_life`. Whoever remembers code by its address alone shows one
under the name of the other.

`--truth` prints the legal stacks, as legal.py does. The run prints how often an address came back:
{"turns": n, "same_address": how often a code object lay where the one before it had been}.
"""

import sys
from time import thread_time

import workload

BODY = """
def NAME(until, now, x):
    while now() < until:
        for _ in range(200):
            x = (x * 31 + 7) % 1000003
    return x
"""
SECONDS = 0.02
NAMES = {}


def make(name, filename, lead):
    """A function with `lead` empty lines above it. Nothing but the result holds it."""
    exec(compile("\n" * lead + BODY.replace("NAME", name), filename, "exec"), NAMES)
    return NAMES.pop(name)


def call_first():
    function = make("first_life", "<first>", 10)
    return function(thread_time() + SECONDS, thread_time, 1), id(function.__code__)


def call_other():
    function = make("other_life", "<other>", 500)
    return function(thread_time() + SECONDS, thread_time, 1), id(function.__code__)


def main():
    options = workload.arguments(truth="print every legal stack")
    recorder = workload.Recorder() if options.truth else None
    turns = same = 0
    before = None
    if not recorder:
        workload.ready()
    while not workload.STOP.set:
        for call in (call_first, call_other):
            if recorder:
                sys.settrace(recorder)
            _, address = call()
            if recorder:
                sys.settrace(None)
            turns += 1
            same += address == before
            before = address
        if recorder:
            return recorder.truth({"<module>", "main", "call_first", "call_other"})
    return {"turns": turns, "same_address": same}


if __name__ == "__main__":
    workload.tell(main())
