"""Python frames on both sides of a C function: `sorted` calls back into Python, so one thread has two runs of frames.

Prints its own truth, root first, as the interpreter sees it; then burns CPU at the end of the chain for good.
"""

import sys


def stack_leaf(n):
    if n < 0:
        return print_truth()
    total = 0
    for i in range(20000):
        total += i ^ n
    return total


def stack_key(n):
    return stack_leaf(n) + 1


def stack_outer(numbers):
    return sorted(numbers, key=stack_key)


def print_truth():
    names, frame = [], sys._getframe(1)
    while frame:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    print(";".join(reversed(names)), flush=True)
    return 0


stack_outer([-1])
while True:
    stack_outer(range(8))
