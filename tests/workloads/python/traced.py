"""Exercises: the process context that Datadog's tracer publishes when it is imported (DD_SERVICE, DD_VERSION, DD_ENV).

Ready once the context is there. No truth but its own mappings: whether one of them has the context's name.
"""

import time

import workload


def published():
    with open("/proc/self/maps") as maps:
        return "OTEL_CTX" in maps.read()


def busy():
    x = 1
    while not workload.STOP.set:
        for _ in range(500):
            x = (x * 31 + 7) % 1000003
    return x


if __name__ == "__main__":
    found = workload.arguments()
    import ddtrace  # noqa: F401

    until = time.monotonic() + 20
    while not published() and time.monotonic() < until:
        time.sleep(0.05)
    workload.ready()
    busy()
    workload.tell({"published": published()})
