"""A service in Python, whose every sample says which pod and container it is of.

Everything runs below a function that is named after the pod's uid and the container, and the functions that do the work
clock themselves by their thread's CPU clock. A line of JSON a second says what the clocks have counted:
{"wall": ns, "process": ns of CPU, "functions": {name: ns of CPU, callees included}}.

    work.py serve              answers GET /order on port 8000
    work.py burn SECONDS       works for so much CPU time, then ends
    work.py startup            works for a moment, then serves: what a pod does in its first second has to have its name
"""

import collections
import functools
import hashlib
import json
import os
import re
import sys
import threading
import time

totals = collections.Counter()
lock = threading.Lock()
BLOCK = bytes(1 << 20)
TEXT = "the quick brown fox " * 60


def clocked(function):
    @functools.wraps(function)
    def clocking(*args):
        begin = time.thread_time_ns()
        try:
            return function(*args)
        finally:
            spent = time.thread_time_ns() - begin
            with lock:
                totals[function.__name__] += spent

    return clocking


@clocked
def parse_order():
    return [json.loads('{"items": [1, 2, 3], "customer": {"name": "x"}}') for _ in range(900)]


@clocked
def discount(price):
    x = price
    for _ in range(4000):
        x = (x * 31 + 7) % 1000003
    return x


@clocked
def price_order():
    return sorted((discount(item) for item in range(12)), key=lambda price: -price)


@clocked
def render_page():
    return re.sub("[a-z]+", lambda word: word.group().title(), TEXT * 5)


@clocked
def sign_page():
    return hashlib.sha256(BLOCK * 3).hexdigest()


def order():
    parse_order()
    price_order()
    render_page()
    return sign_page()


def tell():
    while True:
        with lock:
            functions = dict(totals)
        print(json.dumps({"wall": time.time_ns(), "process": time.process_time_ns(), "functions": functions}), flush=True)
        time.sleep(1)


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        order()


def serve(below):
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = order().encode() if self.path == "/order" else b"ok"
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64

        def process_request_thread(self, *request):
            below(super().process_request_thread, *request)

    Server(("", 8000), Handler).serve_forever()


def main(below):
    threading.Thread(target=below, args=(tell,), daemon=True).start()
    what = sys.argv[1]
    if what == "burn":
        burn(float(sys.argv[2]))
    if what == "startup":
        burn(0.5)
    if what in ("serve", "startup"):
        serve(below)


def named():
    """A function whose name no other container's has."""
    name = "pod_" + os.environ.get("POD_UID", "none").replace("-", "_") + "__" + os.environ.get("CONTAINER", "none")
    name = name.replace("-", "_")
    space = {}
    exec(f"def {name}(function, *args):\n    return function(*args)\n", space)
    return space[name]


if __name__ == "__main__":
    made = named()
    made(main, made)
