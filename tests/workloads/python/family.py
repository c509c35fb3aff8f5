"""Exercises: children that are forked and never exec, so that they go on with their parent's interpreter.

The parent works a little in `parent_leaf`; a child forked before `ready` works in `elder_leaf`, and short-lived ones forked
after it, one after the other, in `younger_leaf`.

All of them begin once a line comes on the input, so that a recording may begin first.

Truth, as c/family.c prints it: {"pid": n, "elder": n, "younger": number of short-lived children, "shares": {…}}.
"""

import os
import signal
import sys
from time import thread_time

import workload


def elder_leaf():
    x = 1
    while not workload.STOP.set:
        x = (x * 31 + 7) % 1000003
    return x


def younger_leaf():
    until = thread_time() + 0.1
    x = 1
    while thread_time() < until:
        for _ in range(500):
            x = (x * 31 + 7) % 1000003
    return x


def parent_leaf():
    until = thread_time() + 0.02
    x = 1
    while thread_time() < until:
        for _ in range(500):
            x = (x * 31 + 7) % 1000003
    return x


def fork_into(function):
    child = os.fork()
    if child == 0:
        function()
        os._exit(0)
    return child


def children_seconds():
    times = os.times()
    return times.children_user + times.children_system


def main():
    workload.arguments()
    gate, opener = os.pipe()

    def wait_and_work():
        os.close(opener)
        # Ends when the parent closes its side.
        os.read(gate, 1)
        elder_leaf()

    elder = fork_into(wait_and_work)
    workload.ready()
    sys.stdin.readline()
    os.close(opener)
    younger = 0
    begin = thread_time()
    while not workload.STOP.set:
        child = fork_into(younger_leaf)
        parent_leaf()
        os.waitpid(child, 0)
        younger += 1
    own = thread_time() - begin
    seconds = children_seconds()
    os.kill(elder, signal.SIGTERM)
    os.waitpid(elder, 0)
    everything = children_seconds() + own
    return {
        "pid": os.getpid(),
        "elder": elder,
        "younger": younger,
        "shares": {
            "parent_leaf": own / everything,
            "younger_leaf": seconds / everything,
            "elder_leaf": (everything - own - seconds) / everything,
        },
    }


if __name__ == "__main__":
    workload.tell(main())
