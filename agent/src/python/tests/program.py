"""A process with known stacks: prints what each sleeping thread's is, then READY.

VERSION sys.hexversion
THREAD thread-id name|line|file;name|line|file;...  (innermost first)
INTERPRETER thread-id: a thread that sleeps in a subinterpreter
CHILD pid: a forked child that sleeps in the function that forked it
"""

import functools
import os
import sys
import threading
import time

WHERE = threading.Lock()
FLAGS = sys.argv[1:]


def report():
    """Must stand on the line of the sleep, so that both have the same line."""
    frame = sys._getframe(1)
    frames = []
    while frame:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        frames.append("%s|%d|%s" % (name, frame.f_lineno, code.co_filename))
        frame = frame.f_back
    text = "THREAD %d %s\n" % (threading.get_ident(), ";".join(frames))
    with WHERE:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def sleeper(key):
    report(); time.sleep(1000)
    return key


def generator():
    for item in (1,):
        yield sleeper(
            item
        )


def through_sorted():
    return sorted(
        [3, 1, 2],
        key=sleeper,
    )


def through_generator():
    return [item for item in generator()]


def through_partial():
    return functools.partial(functools.reduce, lambda a, b: sleeper(b))([1, 2])


class Class:
    @property
    def attribute(self):
        return sleeper(0)

    def __init__(self):
        self.attribute


def 名前(depth):
    if depth:
        return 名前(depth - 1)
    sleeper(0)


def café():
    名前(3)


def функция():
    café()


def 𐌰𐌱():
    функция()


def deep():
    deeper(200)


def deeper(depth):
    if depth:
        deeper(depth - 1)
    else:
        sleeper(0)


def odd_file():
    names = {"sleeper": sleeper}
    exec(compile("\n" * 700 + "def odd(): sleeper(0)\nodd()", "/tmp/é/名/𐌰.py", "exec"), names)


def long_name():
    name = "n" * 300
    names = {"sleeper": sleeper}
    exec("def %s(): sleeper(0)\n%s()" % (name, name), names)


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def spin():
    while True:
        fibonacci(15)
        sorted(range(10), key=lambda x: fibonacci(3))


def in_interpreter():
    code = (
        "import time, sys, threading\n"
        "print('INTERPRETER', threading.get_ident(), flush=True)\n"
        "time.sleep(1000)\n"
    )
    try:
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        interpreters.run_string(interpreters.create(), code)
    except Exception as error:
        print("NOINTERPRETER", error, flush=True)


def fork():
    child = os.fork()
    if child == 0:
        # Said by the child: until here it may still be tearing down what it inherited.
        os.write(1, b"CHILD %d\n" % os.getpid())
        time.sleep(1000)
        os._exit(0)
    time.sleep(0.3)


def main():
    print("VERSION", sys.hexversion, flush=True)
    targets = [through_sorted, through_generator, through_partial, Class, 𐌰𐌱, deep, odd_file, long_name]
    if "busy" in FLAGS:
        targets = []
    for target in targets:
        threading.Thread(target=target, daemon=True).start()
    if "interpreter" in FLAGS:
        threading.Thread(target=in_interpreter, daemon=True).start()
    # The threads have to report; what they print is counted by the reader.
    time.sleep(0.5)
    if "fork" in FLAGS:
        fork()
    print("READY", flush=True)
    if "busy" in FLAGS:
        spin()
    sleeper(0)


main()
