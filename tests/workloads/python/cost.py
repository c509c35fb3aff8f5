"""Exercises: what being profiled costs a busy interpreter.

    <module> > main > descend x 17, every fifth time through C > the json package's encoder written in Python
                                                               > a regular expression (a leaf in C)
                                                               > arithmetic on bodies

One unit of work is the same instructions each time and takes about a millisecond. After each one the program notes its
number and the time in a file that whoever measures reads while it runs. The layout, in native 64-bit words: units done;
slots; then for each of so many slots the monotonic clock and the thread's own CPU clock, both in ns, at the end of the
unit whose number leaves the slot's as remainder. The number is written last.

Truth: {"units": how many were done}.
"""

import functools
import json
import json.encoder
import mmap
import os
import random
import re
import time

import workload

SLOTS = 4096
DEPTH = 17
BYTES = 8 * (2 + 2 * SLOTS)

# With this gone, the encoder is the one written in Python.
json.encoder.c_make_encoder = None

_random = random.Random(42)
DOCUMENT = {
    "name": "cost",
    "numbers": [_random.random() for _ in range(6)],
    "nested": {"a": [{"id": n, "tags": ["a", {"deep": [n, None, {"deeper": [True, "x" * n]}]}]} for n in range(3)]},
}
TEXT = " ".join("word%d@example%d.org" % (n, n % 7) for n in range(30))
ADDRESS = re.compile(r"([a-z0-9]+)@([a-z0-9]+)\.(org|com)")
BODIES = [[_random.random() * 10 for _ in range(6)] + [_random.random() + 0.1] for _ in range(5)]


def advance(dt, bodies):
    for index, (x, y, z, _, _, _, mass) in enumerate(bodies):
        for other in bodies[index + 1:]:
            dx, dy, dz = x - other[0], y - other[1], z - other[2]
            square = dx * dx + dy * dy + dz * dz + 0.01
            magnitude = dt / (square * square ** 0.5)
            other[3] += dx * mass * magnitude
            other[4] += dy * mass * magnitude
            other[5] += dz * mass * magnitude
    for body in bodies:
        body[0] += dt * body[3]
        body[1] += dt * body[4]
        body[2] += dt * body[5]


def do_nbody():
    moving = [list(body) for body in BODIES]
    for _ in range(15):
        advance(0.001, moving)


def do_regex():
    return len(ADDRESS.findall(TEXT))


def do_json():
    return sum(len(json.dumps(DOCUMENT)) for _ in range(3))


def descend(depth):
    if depth >= DEPTH:
        do_json()
        do_regex()
        do_nbody()
    elif depth % 5 == 0:
        functools.reduce(through, (depth, depth + 1))
    else:
        descend(depth + 1)


def through(_, depth):
    descend(depth)


def main():
    options = workload.arguments(counter="write the units to the file named by the environment's COUNTER")
    if options.counter:
        with open(os.environ["COUNTER"], "w+b") as file:
            file.truncate(BYTES)
            file.flush()
            mapped = mmap.mmap(file.fileno(), BYTES)
    else:
        mapped = mmap.mmap(-1, BYTES)
    words = memoryview(mapped).cast("Q")
    words[1] = SLOTS
    units = 0
    while not workload.STOP.set:
        descend(1)
        units += 1
        slot = 2 + 2 * (units % SLOTS)
        words[slot] = time.monotonic_ns()
        words[slot + 1] = time.thread_time_ns()
        words[0] = units
        if units == 100:
            workload.ready()
    return {"units": units}


if __name__ == "__main__":
    workload.tell(main())
