"""Receives what is pushed to Pyroscope and to Parca, and says what was in it: a JSON line a request.

    push.py receive         listens, prints `ready PYROSCOPE_PORT PARCA_PORT`, then the lines, until its input ends. A line
                            on its input is answered by `told` once all that came before is told
    push.py client URL      the real client of Pyroscope pushes there, until its input ends

Messages are decoded by Google's library. Its descriptors are built here of the names and numbers in the published
.proto files: grafana/pyroscope api/push/v1, parca-dev/parca proto/parca/profilestore/v1alpha1, google/pprof
proto/profile.proto. What these servers would refuse is named in `faults`.
"""

import functools
import gzip
import http.server
import json
import queue
import re
import sys
import threading

STRING, BYTES, BOOL, INT64, UINT64, MESSAGE = 9, 12, 8, 3, 4, 11
ONE, MANY = 1, 3

SCHEMA = {
    "push.v1.LabelPair": [("name", 1, STRING, ONE), ("value", 2, STRING, ONE)],
    "push.v1.RawSample": [("raw_profile", 1, BYTES, ONE), ("ID", 2, STRING, ONE)],
    "push.v1.Series": [("labels", 1, "push.v1.LabelPair", MANY), ("samples", 2, "push.v1.RawSample", MANY)],
    "push.v1.PushRequest": [("series", 1, "push.v1.Series", MANY)],
    "parca.Label": [("name", 1, STRING, ONE), ("value", 2, STRING, ONE)],
    "parca.LabelSet": [("labels", 1, "parca.Label", MANY)],
    "parca.RawSample": [("raw_profile", 1, BYTES, ONE)],
    "parca.Series": [("labels", 1, "parca.LabelSet", ONE), ("samples", 2, "parca.RawSample", MANY)],
    "parca.WriteRawRequest": [("tenant", 1, STRING, ONE), ("series", 2, "parca.Series", MANY), ("normalized", 3, BOOL, ONE)],
    "pprof.ValueType": [("type", 1, INT64, ONE), ("unit", 2, INT64, ONE)],
    "pprof.Label": [("key", 1, INT64, ONE), ("str", 2, INT64, ONE), ("num", 3, INT64, ONE), ("num_unit", 4, INT64, ONE)],
    "pprof.Sample": [("location_id", 1, UINT64, MANY), ("value", 2, INT64, MANY), ("label", 3, "pprof.Label", MANY)],
    "pprof.Mapping": [
        ("id", 1, UINT64, ONE), ("memory_start", 2, UINT64, ONE), ("memory_limit", 3, UINT64, ONE),
        ("file_offset", 4, UINT64, ONE), ("filename", 5, INT64, ONE), ("build_id", 6, INT64, ONE),
        ("has_functions", 7, BOOL, ONE), ("has_filenames", 8, BOOL, ONE), ("has_line_numbers", 9, BOOL, ONE),
        ("has_inline_frames", 10, BOOL, ONE),
    ],
    "pprof.Line": [("function_id", 1, UINT64, ONE), ("line", 2, INT64, ONE), ("column", 3, INT64, ONE)],
    "pprof.Location": [
        ("id", 1, UINT64, ONE), ("mapping_id", 2, UINT64, ONE), ("address", 3, UINT64, ONE),
        ("line", 4, "pprof.Line", MANY), ("is_folded", 5, BOOL, ONE),
    ],
    "pprof.Function": [
        ("id", 1, UINT64, ONE), ("name", 2, INT64, ONE), ("system_name", 3, INT64, ONE), ("filename", 4, INT64, ONE),
        ("start_line", 5, INT64, ONE),
    ],
    "pprof.Profile": [
        ("sample_type", 1, "pprof.ValueType", MANY), ("sample", 2, "pprof.Sample", MANY),
        ("mapping", 3, "pprof.Mapping", MANY), ("location", 4, "pprof.Location", MANY),
        ("function", 5, "pprof.Function", MANY), ("string_table", 6, STRING, MANY), ("drop_frames", 7, INT64, ONE),
        ("keep_frames", 8, INT64, ONE), ("time_nanos", 9, INT64, ONE), ("duration_nanos", 10, INT64, ONE),
        ("period_type", 11, "pprof.ValueType", ONE), ("period", 12, INT64, ONE), ("comment", 13, INT64, MANY),
        ("default_sample_type", 14, INT64, ONE),
    ],
}


def classes():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    for package in ("push.v1", "parca", "pprof"):
        file = descriptor_pb2.FileDescriptorProto(name=package + ".proto", package=package, syntax="proto3")
        for name, fields in SCHEMA.items():
            if name.rpartition(".")[0] != package:
                continue
            message = file.message_type.add(name=name.rpartition(".")[2])
            for field, number, kind, label in fields:
                made = message.field.add(name=field, number=number, label=label)
                if isinstance(kind, str):
                    made.type, made.type_name = MESSAGE, "." + kind
                else:
                    made.type = kind
        pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in SCHEMA}


def unknown(message):
    """Members that the schema does not have."""
    from google.protobuf import unknown_fields

    found = [f"{message.DESCRIPTOR.name} has an unknown member {it.field_number}" for it in unknown_fields.UnknownFieldSet(message)]
    for field, value in message.ListFields():
        if field.message_type:
            for one in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
                found += unknown(one)
    return found


def profile(raw, kinds):
    """A pprof as counts, and what is wrong with it."""
    faults = []
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    message = kinds["pprof.Profile"].FromString(raw)
    faults += unknown(message)
    strings = message.string_table
    if not strings or strings[0] != "":
        faults.append("the first text is not empty")
    for what, entries in (("mapping", message.mapping), ("location", message.location), ("function", message.function)):
        for place, entry in enumerate(entries):
            if entry.id != place + 1:
                faults.append(f"{what} {entry.id} is at place {place}")
    for location in message.location:
        if location.mapping_id > len(message.mapping):
            faults.append("a location's mapping is not there")
        if any(not 0 < line.function_id <= len(message.function) for line in location.line):
            faults.append("a line's function is not there")
    kind = lambda it: [strings[it.type], strings[it.unit]]
    pids, functions = {}, {}
    for sample in message.sample:
        if len(sample.value) != len(message.sample_type):
            faults.append("values do not fit to the types")
        if any(not 0 < place <= len(message.location) for place in sample.location_id):
            faults.append("a location is not there")
        numbers = {strings[label.key]: label.num for label in sample.label if not label.str}
        pid = str(numbers.get("pid", 0))
        pids[pid] = pids.get(pid, 0) + sample.value[0]
        names = {
            strings[message.function[line.function_id - 1].name]
            for place in sample.location_id
            for line in message.location[place - 1].line
        }
        for name in names:
            functions[name] = functions.get(name, 0) + sample.value[0]
    return {
        "sample_types": [kind(it) for it in message.sample_type],
        "period_type": kind(message.period_type),
        "period": message.period,
        "time": message.time_nanos,
        "duration": message.duration_nanos,
        "pids": pids,
        "functions": functions,
    }, faults


def series(entries, kinds):
    """Labels, ids and pprofs, and what is wrong with them."""
    told, faults = [], []
    for labels, samples in entries:
        pairs = {}
        for label in labels:
            if label.name in pairs:
                faults.append(f"the label {label.name} is there twice")
            pairs[label.name] = label.value
        if not pairs.get("__name__"):
            faults.append("there is no __name__")
        profiles = []
        for sample in samples:
            found, wrong = profile(sample.raw_profile, kinds)
            found["id"] = getattr(sample, "ID", "")
            profiles.append(found)
            faults += wrong
        told.append({"labels": pairs, "profiles": profiles})
    return told, faults


# Requests are answered at once and taken apart later: a busy machine must not look like a receiver that is down.
LATER = queue.Queue()


def later():
    while True:
        make = LATER.get()
        print(json.dumps(make()), flush=True)
        LATER.task_done()


def told_by_pyroscope(path, headers, body, kinds):
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    message = kinds["push.v1.PushRequest"].FromString(body)
    told, faults = series([(it.labels, it.samples) for it in message.series], kinds)
    faults += unknown(message)
    return {"from": "pyroscope", "path": path, "headers": headers, "series": told, "faults": faults}


def told_by_parca(headers, message, kinds):
    told, faults = series([(it.labels.labels, it.samples) for it in message.series], kinds)
    faults += unknown(message)
    for entry in told:
        for name in entry["labels"]:
            # prometheus/common model.LabelName
            if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name):
                faults.append(f"the label {name} has a name that Parca refuses")
    return {"from": "parca", "path": "", "headers": headers, "series": told, "faults": faults,
            "normalized": message.normalized}


def pyroscope(kinds):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            LATER.put(functools.partial(told_by_pyroscope, self.path, headers, body, kinds))
            self.send_response(200)
            self.send_header("content-type", "application/proto")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def parca(kinds):
    from concurrent import futures

    import grpc

    def write(message, context):
        headers = dict(context.invocation_metadata())
        LATER.put(functools.partial(told_by_parca, headers, message, kinds))
        return b""

    request = kinds["parca.WriteRawRequest"]
    handler = grpc.unary_unary_rpc_method_handler(write, request.FromString, lambda answer: answer)
    service = "parca.profilestore.v1alpha1.ProfileStoreService"
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"WriteRaw": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return port, server


def receive():
    kinds = classes()
    port, server = parca(kinds)
    print("ready", pyroscope(kinds), port, flush=True)
    threading.Thread(target=later, daemon=True).start()
    for _ in sys.stdin:
        LATER.join()
        print("told", flush=True)
    server.stop(None)


def client(url):
    import pyroscope

    pyroscope.configure(application_name="client", server_address=url)
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    print("ready", flush=True)
    while not stop.is_set():
        sum(number * number for number in range(1000))
    pyroscope.shutdown()


stop = threading.Event()

if __name__ == "__main__":
    receive() if sys.argv[1] == "receive" else client(sys.argv[2])
