"""A receiver that is reached by a name, over TLS, as one outside of the machine is: tls.py FOLDER NAME

Makes a certificate authority and a certificate for the name in the folder (`ca.pem`), and a resolv.conf that names the
name server here. Prints `ready PORT`, then a line for each thing that happens, until its input ends:
    asked NAME          the name server was asked for its address
    refused WHY         the client did not go on with TLS
    got METHOD PATH BYTES
"""

import http.server
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import threading

# A loopback address of which nobody else has port 53.
NAME_SERVER = "127.7.0.53"
RECEIVER = "127.0.0.1"
A, INTERNET = 1, 1


def tell(*words):
    print(*words, flush=True)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_certificates(folder, name):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-days", "2", "-subj", "/CN=strata tests", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, "req", *key, "-subj", f"/CN={name}", "-keyout", "key.pem", "-out", "request.pem")
    (folder / "extensions").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth\n")
    openssl(
        folder, "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "certificate.pem",
    )


def question(message):
    """The name that is asked for, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), at + 5


def answer_names(server, known):
    while True:
        message, client = server.recvfrom(4096)
        name, end = question(message)
        kind, _ = struct.unpack("!HH", message[end - 4 : end])
        tell("asked", name)
        is_known = name.rstrip(".").lower() == known
        answers = 1 if is_known and kind == A else 0
        # An answer with authority; of unknown names, that there is none.
        flags = 0x8580 | (0 if is_known else 3)
        reply = message[:2] + struct.pack("!HHHHH", flags, 1, answers, 0, 0) + message[12:end]
        if answers:
            reply += struct.pack("!HHHIH", 0xC00C, A, INTERNET, 1, 4) + socket.inet_aton(RECEIVER)
        server.sendto(reply, client)


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        tell("got", self.command, self.path, len(body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context):
        super().__init__((RECEIVER, 0), Receiver)
        self.context = context

    def finish_request(self, request, client):
        try:
            with self.context.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client)
        except (ssl.SSLError, OSError) as error:
            tell("refused", str(error).replace("\n", " "))


def main():
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
    make_certificates(folder, name)
    (folder / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((NAME_SERVER, 53))
    threading.Thread(target=answer_names, args=(names, name), daemon=True).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = Server(context)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    tell("ready", server.server_address[1])
    sys.stdin.read()


main()
