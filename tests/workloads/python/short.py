"""Exercises: a process that is over before anybody could look at it: 50 ms of CPU time in `short_life`, after the start of
the interpreter.

Truth: {"pid": n, "seconds": CPU time in `short_life`}.
"""

import json
import os
from time import thread_time


def short_life(until):
    x = 1
    while thread_time() < until:
        for _ in range(500):
            x = (x * 31 + 7) % 1000003
    return x


if __name__ == "__main__":
    begin = thread_time()
    short_life(begin + 0.05)
    print(json.dumps({"pid": os.getpid(), "seconds": thread_time() - begin}))
