"""Exercises: the line on which a leaf frame is: loops, jumps, calls spread over lines, generators that go on after a yield.

Each line costs at least tens of microseconds, so a clock read at every change of line disturbs nothing. `--truth` runs
the same units under a trace function that charges the time between two of its events to the line it left, and prints
the shares of 3 s of CPU time. The untraced run goes on until it is told to end.

Lines whose cost lies in their very first or very last instruction find a profiler that is off by one instruction: a loop
whose iterator works in C (the jump target), an assignment to a slice that draws on such an iterator (nothing follows on
the line), the first statement after a yield.

Which of the four functions comes next is left to chance: a program whose turns all take the same time can fall in step with
the sampling clock, which then meets some lines again and again and others never.

Truth: {"lines": {"function:line": share}}.
"""

import itertools
import random
import sys
from time import thread_time

import workload

# The time goes into adding up one small list over and over in C, so that no line waits for memory more than another does.
SMALL = list(range(200))
FEW = [SMALL] * 30
MANY = [SMALL] * 100


def straight(a):
    a = a * 3 % 1009 + a * 5 % 1013 + a * 7 % 1019 + a * 11 % 1021 + sum(map(sum, FEW))
    b = max(map(sum, MANY)) + min(map(sum, FEW)) + a
    c = sorted(
        map(sum, MANY),
        reverse=True,
    )
    return len(c) + sum(map(sum, FEW)) + b


def loops():
    total = 0
    for part in map(
            max,
            (map(sum, MANY), map(sum, MANY))):
        total += part
        total -= max(map(sum, FEW))
    for turn in range(4):
        total -= sum(map(sum, FEW))
        if turn % 2:
            continue
        total -= sum(map(sum, MANY))
    return total


def stores(table):
    table[:] = map(sum, MANY)
    table[:] = map(sum, MANY); table[:] = map(sum, MANY)
    table[1:] = map(sum, FEW)


def numbers():
    yield 1
    first = sum(map(sum, MANY))
    yield first
    second = max(map(sum, MANY)) + max(map(sum, FEW))
    try:
        yield second
    finally:
        sum(map(sum, MANY))
    yield from map(
        max,
        (map(sum, MANY), map(sum, MANY)),
    )


def generators():
    total = 0
    for number in numbers():
        total += number
        total += min(map(sum, FEW))
    return total


def straight_once():
    straight(1)


def stores_once():
    stores([])


# Many enough to outlast a recording.
TURNS = random.choices((straight_once, loops, stores_once, generators), k=20_000)


# The functions around the lines that are measured: their own lines have no place in the truth.
HARNESS = ("main", "straight_once", "stores_once", "<module>")


class Clock:
    """A trace function. Its own time is left out: it reads the clock as it comes and as it goes."""

    def __init__(self):
        self.spent = {}
        self.line = None
        self.since = 0.0

    def __call__(self, frame, event, _argument):
        now = thread_time()
        if self.line is not None:
            self.spent[self.line] = self.spent.get(self.line, 0.0) + now - self.since
        if event == "return":
            # What comes next belongs to the caller, wherever it is by now.
            frame = frame.f_back
        self.line = (frame.f_code.co_name, frame.f_lineno)
        self.since = thread_time()
        return self

    def truth(self):
        spent = {key: seconds for key, seconds in self.spent.items() if key[0] not in HARNESS}
        total = sum(spent.values())
        return {"lines": {"%s:%d" % key: seconds / total for key, seconds in spent.items()}}


def main():
    options = workload.arguments(truth="print the share of each line")
    for turn in TURNS[:100]:
        turn()
    if options.truth:
        clock = Clock()
        begin = thread_time()
        sys.settrace(clock)
        for turn in itertools.cycle(TURNS):
            turn()
            if workload.STOP.set or thread_time() - begin > 3.0:
                break
        sys.settrace(None)
        return clock.truth()
    workload.ready()
    for turn in itertools.cycle(TURNS):
        turn()
        if workload.STOP.set:
            break
    return {}


if __name__ == "__main__":
    workload.tell(main())
