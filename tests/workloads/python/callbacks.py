"""Exercises: C frames between Python frames, in the order in which they were called.

One mode at a time calls back from C into Python: the function `outer_MODE` calls something written in C, which calls
`inner_MODE`, which burns the time. Modes:

    sorted     sorted(key=inner)
    re_sub     pattern.sub(inner, text)
    json       json.loads(object_hook=inner)
    reduce     functools.reduce(inner, items)
    ctypes     qsort of the C library through ctypes.CFUNCTYPE(inner)
    cached     functools.lru_cache (a decorator in C) around inner
    decorator  a decorator in Python: outer > wrapper > inner, one Python call in another
    generator  sum(inner()), inner a generator
    gen_list   list(inner())

The modes take turns of about 20 ms; all are met within a second. What lies between two Python frames can't be measured
from inside: the truth is the order of the calls in this file.

Truth: {"modes": {mode: [Python frames, outermost first, "*" where at least one native frame has to be]},
"shares": {outer function: share}}.
"""

import ctypes
import functools
import json
import re
from time import thread_time

import workload

TURNS = 3000


def burn(x):
    for _ in range(TURNS):
        x = (x * 31 + 7) % 1000003
    return x


def inner_sorted(item):
    return burn(item)


def outer_sorted():
    return sorted(range(8), key=inner_sorted)


def inner_re_sub(match):
    return str(burn(len(match.group())))


def outer_re_sub():
    return WORD.sub(inner_re_sub, "one two three four")


def inner_json(found):
    burn(len(found))
    return found


def outer_json():
    return json.loads('[{"a": 1}, {"b": 2}, {"c": {"d": 3}}]', object_hook=inner_json)


def inner_reduce(total, item):
    return burn(total + item)


def outer_reduce():
    return functools.reduce(inner_reduce, range(8), 1)


def inner_ctypes(left, right):
    burn(left[0])
    return left[0] - right[0]


def outer_ctypes():
    array = (ctypes.c_int * 5)(5, 1, 4, 2, 3)
    LIBC.qsort(array, len(array), ctypes.sizeof(ctypes.c_int), COMPARE)
    return list(array)


@functools.lru_cache(maxsize=1)
def inner_cached(number):
    return burn(number)


def outer_cached():
    return [inner_cached(0), inner_cached(1), inner_cached(2)]


def decorate(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@decorate
def inner_decorator(number):
    return burn(number)


def outer_decorator():
    return inner_decorator(1) + inner_decorator(2)


def inner_generator():
    for number in range(5):
        yield burn(number)


def outer_generator():
    return sum(inner_generator())


def inner_gen_list():
    for number in range(5):
        yield burn(number)


def outer_gen_list():
    return list(inner_gen_list())


WORD = re.compile("[a-z]+")
LIBC = ctypes.CDLL(None)
COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))(inner_ctypes)

MODES = {
    "sorted": (outer_sorted, "*"),
    "re_sub": (outer_re_sub, "*"),
    # json.loads is Python itself, down to the scanner in C.
    "json": (outer_json, "loads JSONDecoder.decode JSONDecoder.raw_decode *"),
    "reduce": (outer_reduce, "*"),
    "ctypes": (outer_ctypes, "*"),
    "cached": (outer_cached, "*"),
    "decorator": (outer_decorator, "decorate.<locals>.wrapper"),
    "generator": (outer_generator, "*"),
    "gen_list": (outer_gen_list, "*"),
}


def orders():
    qualified = hasattr(burn.__code__, "co_qualname")
    found = {}
    for mode, (outer, between) in MODES.items():
        names = [outer.__name__] + between.split() + ["inner_" + mode]
        found[mode] = [name if qualified else name.rsplit(".", 1)[-1] for name in names]
    return found


def main():
    workload.arguments()
    spent = dict.fromkeys((outer.__name__ for outer, _ in MODES.values()), 0.0)
    workload.ready()
    while not workload.STOP.set:
        for outer, _ in MODES.values():
            begin = thread_time()
            while thread_time() - begin < 0.02:
                outer()
            spent[outer.__name__] += thread_time() - begin
    total = sum(spent.values())
    return {"modes": orders(), "shares": {name: seconds / total for name, seconds in spent.items()}}


if __name__ == "__main__":
    workload.tell(main())
