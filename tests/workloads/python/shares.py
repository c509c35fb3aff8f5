"""Exercises: shares of CPU time across generators, decorators, C callbacks, recursion and threads on both CPUs.

Five threads, tied to the CPUs in turn, run the same kinds of work in rotated order. Each kind is an outer function that
does part of the work by itself and part in a function called back: by a generator, a decorator, `sorted`, `re.sub`,
`functools.reduce`, the json decoder, or itself. One more kind hashes in C with the GIL released, so that two threads do
run at once. Every function clocks itself by its thread's own CPU clock.

The threads begin once a line comes on the input, so that a recording may begin first.

Truth: {"shares": {function: its share, callees included, of all CPU time}, "cpus": [...], "threads": n}.
"""

import collections
import functools
import hashlib
import json
import os
import re
import sys
import threading
from time import thread_time

import workload

THREADS = 5
SCALE = 1000
BLOCK = bytes(1 << 20)

here = threading.local()


def work(times):
    """About 60 ns a turn, in a frame of its own."""
    x = 1
    for _ in range(times):
        x = (x * 31 + 7) % 1000003
    return x


def clocked(function):
    """A decorator like many: what it wraps is charged with its own time and that of everything it calls."""

    @functools.wraps(function)
    def clocking(*args):
        begin = thread_time()
        try:
            return function(*args)
        finally:
            here.spent[function.__name__] += thread_time() - begin

    return clocking


@clocked
def key_of(item):
    work(1 * SCALE)
    return -item


@clocked
def sort_kind():
    work(1 * SCALE)
    return sorted(range(3), key=key_of)


@clocked
def replace_word(match):
    work(5 * SCALE)
    return match.group().upper()


@clocked
def regex_kind():
    work(1 * SCALE)
    return re.sub("[a-z]+", replace_word, "one two")


@clocked
def fold_two(total, item):
    work(1 * SCALE)
    return total + item


@clocked
def reduce_kind():
    work(2 * SCALE)
    return functools.reduce(fold_two, range(3), 0)


@clocked
def object_seen(found):
    work(2 * SCALE)
    return found


@clocked
def json_kind():
    work(1 * SCALE)
    return json.loads('[{"a": 1}, {"b": {"c": 2}}]', object_hook=object_seen)


def stream(count):
    # A generator can't be wrapped as functions are: it clocks the stretches between its yields.
    for number in range(count):
        begin = thread_time()
        work(3 * SCALE)
        here.spent["stream"] += thread_time() - begin
        yield number


@clocked
def generator_kind():
    work(1 * SCALE)
    return sum(stream(4))


@clocked
def descend(depth):
    if depth:
        return descend(depth - 1) + 1
    return work(3 * SCALE)


@clocked
def recursion_kind():
    return descend(30)


@clocked
def hash_kind():
    return hashlib.sha256(BLOCK).digest()


KINDS = [sort_kind, regex_kind, reduce_kind, json_kind, generator_kind, recursion_kind, hash_kind]


def thread_body(number, results, gate):
    cpus = sorted(os.sched_getaffinity(0))
    cpu = cpus[number % len(cpus)]
    os.sched_setaffinity(0, {cpu})
    here.spent = collections.defaultdict(float)
    turn = number
    gate.wait()
    begin = thread_time()
    while not workload.STOP.set:
        KINDS[turn % len(KINDS)]()
        turn += 1
    results[number] = (cpu, thread_time() - begin, here.spent)


def main():
    workload.arguments()
    results = {}
    gate = threading.Barrier(THREADS + 1)
    threads = [threading.Thread(target=thread_body, args=(n, results, gate)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    workload.ready()
    sys.stdin.readline()
    gate.wait()
    for thread in threads:
        thread.join()
    total = sum(spent for _, spent, _ in results.values())
    shares = collections.defaultdict(float)
    for _, _, spent in results.values():
        for name, seconds in spent.items():
            shares[name] += seconds / total
    # The recursion clocks every level: its whole is the kind's.
    shares["descend"] = shares["recursion_kind"]
    return {
        "shares": dict(shares),
        "threads": THREADS,
        "cpus": sorted({cpu for cpu, _, _ in results.values()}),
        "cpu_seconds": total,
    }


if __name__ == "__main__":
    workload.tell(main())
