"""Exercises: an agent that is always on. What it ships has to hold all the CPU time that this program used.

Waits for a line on its input, so that the agent may begin first; then two functions work, one twice as long as the other,
until SIGTERM comes.

Truth: {"cpu": CPU seconds of the process since the line came, "longer": and "shorter": of the functions}.
"""

import sys
from time import process_time, thread_time

import workload


def work(times):
    x = 1
    for _ in range(times):
        x = (x * 31 + 7) % 1000003
    return x


def longer():
    return work(40000)


def shorter():
    return work(20000)


workload.arguments()
workload.ready()
sys.stdin.readline()
begin = process_time()
spent = {"longer": 0.0, "shorter": 0.0}
while not workload.STOP.set:
    for function in (longer, shorter):
        start = thread_time()
        function()
        spent[function.__name__] += thread_time() - start
spent["cpu"] = process_time() - begin
workload.tell(spent)
