"""Exercises: deep stacks. `descend` calls itself as often as the last argument says, and burns time at the bottom in
`bottom`, which is never left before the end. Up to 3.10 each call is several C frames deep, from 3.11 on none at all.

Truth: {"function": "descend", "leaf": "bottom", "depth": n}.
"""

import sys

import workload


def bottom():
    x = 1
    while not workload.STOP.set:
        x = (x * 31 + 7) % 1000003
    return x


def descend(depth):
    if depth > 1:
        return descend(depth - 1) + 1
    workload.ready()
    return bottom()


def main():
    # The shared arguments know of no depth.
    depth = int(sys.argv.pop())
    workload.arguments()
    sys.setrecursionlimit(depth + 200)
    descend(depth)
    return {"function": "descend", "leaf": "bottom", "depth": depth}


if __name__ == "__main__":
    workload.tell(main())
