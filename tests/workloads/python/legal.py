"""Exercises: Python's call chain, with the calling line of each frame.

    <module> > main > recurse x 21 > do_json > the json package's encoder written in Python (nested generators)
                                   > do_regex                           (a leaf in C)
                                   > do_nbody > advance                 (arithmetic, loops over several lines)

The leaf kinds run only under the 21st `recurse`. `--truth` executes the same code once under a trace function that is
called for every instruction, and prints every stack that can occur, with every line: a stack outside this list is false,
whatever a profiler says. Without it the program runs until it is told to end. It asks for no clock and makes no system
call: tools that stop their target find it more often where it enters the kernel, and one of them is compared with.

Truth: {"frames": [[name, file, line]…], "nodes": [[parent or -1, frame, may be a leaf]…]}: a tree of stacks, root first.
Line 0 stands for an instruction without one.
"""

import json
import json.encoder
import random
import re
import sys

import workload


class TIMES:
    """How often one unit repeats each leaf kind: long enough for the way there to be next to nothing. Every repetition is
    the same, so once is enough to see every stack."""

    json = 100
    regex = 60
    nbody = 10


DEPTH = 21
STEPS = 40

# With this gone, the encoder is the one written in Python.
json.encoder.c_make_encoder = None

_random = random.Random(42)
DOCUMENT = {
    "name": "legal",
    "numbers": [_random.random() for _ in range(12)],
    "nested": [{"id": n, "tags": ["a", "b", {"deep": [n, None, True]}], "text": "x" * n} for n in range(6)],
    "empty": {},
    "flags": (True, False, None),
}
TEXT = " ".join("word%d@example%d.org" % (n, n % 7) for n in range(60))
ADDRESS = re.compile(r"([a-z0-9]+)@([a-z0-9]+)\.(org|com)")


def bodies():
    return [
        [_random.random() * 10 for _ in range(3)] + [_random.random() for _ in range(3)] + [_random.random() + 0.1]
        for _ in range(5)
    ]


BODIES = bodies()


def advance(dt, all_bodies):
    for index, (x, y, z, vx, vy, vz, mass) in enumerate(all_bodies):
        for other in all_bodies[index + 1:]:
            dx = x - other[0]
            dy = y - other[1]
            dz = z - other[2]
            square = (
                dx * dx
                + dy * dy
                + dz * dz
                + 0.01
            )
            magnitude = dt / (square * square ** 0.5)
            if magnitude > 0.001:
                continue
            other[3] += dx * mass * magnitude
            other[4] += dy * mass * magnitude
            other[5] += dz * mass * magnitude
    for body in all_bodies:
        body[0] += dt * body[3]
        body[1] += dt * body[4]
        body[2] += dt * body[5]
        if body[3] < 0.0 or (
                body[4] < 0.0
                and body[5] < 0.0):
            body[0] += dt


def do_nbody():
    for _ in range(TIMES.nbody):
        # From the same start each time: every branch taken later is taken in the first round too.
        moving = [list(body) for body in BODIES]
        for _ in range(STEPS):
            advance(0.001, moving)


def do_regex():
    count = 0
    for _ in range(TIMES.regex):
        count += len(ADDRESS.findall(TEXT))
    return count


def do_json():
    length = 0
    for _ in range(TIMES.json):
        length += len(json.dumps(DOCUMENT))
    return length


def recurse(depth):
    if depth < DEPTH:
        recurse(depth + 1)
    else:
        do_json()
        do_regex()
        do_nbody()


def main():
    options = workload.arguments(truth="print every legal stack")
    recorder = workload.Recorder() if options.truth else None
    if recorder:
        TIMES.json = TIMES.regex = TIMES.nbody = 1
    first = True
    while not workload.STOP.set:
        if recorder:
            sys.settrace(recorder)
        recurse(1)
        if recorder:
            sys.settrace(None)
            return recorder.truth({"<module>", "main", "recurse"})
        if first:
            first = False
            workload.ready()
    return {}


if __name__ == "__main__":
    workload.tell(main())
