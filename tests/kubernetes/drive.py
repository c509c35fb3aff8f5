"""Asks every web pod for orders, again and again: `drive.py FOLDER`, which has the pods' addresses, one a line, in `pods`
and the pause between two requests to one pod, in seconds, in `pause`. Both may change."""

import http.client
import pathlib
import sys
import threading
import time
import urllib.request

folder = pathlib.Path(sys.argv[1])


def wanted():
    try:
        return set((folder / "pods").read_text().split()), float((folder / "pause").read_text())
    except (OSError, ValueError):
        return set(), 0.1


pods, pause = wanted()


def ask(pod):
    while pod in pods:
        try:
            with urllib.request.urlopen(f"http://{pod}:8000/order", timeout=30) as answer:
                answer.read()
        except (OSError, http.client.HTTPException):
            # Pods go.
            time.sleep(0.5)
        time.sleep(pause)
    asking.discard(pod)


asking = set()
while True:
    pods, pause = wanted()
    for pod in pods - asking:
        asking.add(pod)
        threading.Thread(target=ask, args=(pod,), daemon=True).start()
    time.sleep(0.5)
