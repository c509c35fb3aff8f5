"""Prints line tables and what this interpreter itself says of every instruction.

First line: sys.hexversion. Then one line a code object: table in hex, first line, and runs of
line:units, "-" for instructions without a line.
"""

import dis
import importlib.util
import random
import sys
import types

MODULES = """
    argparse ast asyncio.base_events asyncio.tasks calendar collections configparser dataclasses
    datetime difflib doctest email.message enum ftplib functools gettext http.client imaplib inspect
    ipaddress json.decoder locale logging mailbox optparse pathlib pdb pickle pickletools platform
    plistlib pprint random re selectors shutil smtplib socket ssl statistics subprocess tarfile
    tempfile textwrap threading tokenize traceback turtle typing unittest.mock urllib.request uuid
    warnings weakref xml.dom.minidom xmlrpc.client zipfile
""".split()

SHAPES = '''
import contextlib

@contextlib.contextmanager
def managed():
    try:
        yield (
            1
        )
    finally:
        print(
            "left"
        )

async def asynchronous(items):
    async with thing as a, other as b:
        async for item in items:
            await item(
                1,
                2,
            )
    return [x async for x in items if await x]

def everything(a, b=1, *args, c, **kwargs):
    """Text."""
    try:
        with managed() as m, open(
            "x"
        ) as n:
            for i in range(10):
                if i % 2: continue
                elif i > 5: break
                else:
                    del i
            else:
                a = b = (
                    lambda q:
                        q + 1
                )
    except (ValueError,
            TypeError) as error:
        raise RuntimeError from error
    except OSError:
        pass
    else:
        assert a, (
            "b"
        )
    finally:
        a = {k: v
             for k, v in
             kwargs.items()
             if v}
    while a and \\
          b:
        a = a[
            1:
            2
        ]
    return f"{a}{b!r:>{c}}" \\
        "x"

class C(
    object
):
    x: int = 1
    def method(self): return super().method()


''' + "\n" * 300 + "def far():\n" + "\n" * 200 + "    return 1\n" + "    x = (" + "\n" * 400 + "1)\n"


def walk(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from walk(constant)


def table(code):
    return code.co_linetable if sys.version_info >= (3, 10) else code.co_lnotab


def lines(code):
    """The line of each code unit."""
    units = len(code.co_code) // 2
    found = [None] * units
    if sys.version_info >= (3, 10):
        for start, end, line in code.co_lines():
            for unit in range(start // 2, min(end // 2, units)):
                found[unit] = line
    else:
        starts = list(dis.findlinestarts(code)) + [(units * 2, None)]
        for (start, line), (end, _) in zip(starts, starts[1:]):
            for unit in range(start // 2, min(end // 2, units)):
                found[unit] = line
    return found


def emit(code):
    runs = []
    for line in lines(code):
        line = "-" if line is None else line
        if runs and runs[-1][0] == line:
            runs[-1][1] += 1
        else:
            runs.append([line, 1])
    text = " ".join(f"{line}:{count}" for line, count in runs)
    print(table(code).hex() or "-", code.co_firstlineno, text)


def varint(number, chance):
    out = bytearray()
    while number >= 64 or (chance.random() < 0.02 and len(out) < 3):
        out.append(0x40 | number & 63)
        number >>= 6
    out.append(number)
    return bytes(out)


def signed(number, chance):
    return varint(-number * 2 + 1 if number < 0 else number * 2, chance)


def synthetic(chance, units):
    """A well-formed table of every kind of entry, such as no compiler may emit."""
    out = bytearray()
    if sys.version_info < (3, 11):
        while units > 0:
            length = min(chance.choice((0, 1, 1, 2, 3, 20)), units)
            units -= length
            # Before 3.10 nothing stands for "no line".
            lowest = -128 if sys.version_info >= (3, 10) else -127
            delta = chance.choice((0, 1, 2, 127, -1, -5, lowest, chance.randint(lowest, 127)))
            out += bytes((length * 2, delta & 255))
        return bytes(out)
    while units > 0:
        length = min(chance.randint(1, 8), units)
        units -= length
        code = chance.choice((*range(16), 13, 14, 15, 15))
        out.append(0x80 | code << 3 | length - 1)
        if code < 10:
            out.append(chance.randrange(128))
        elif code < 13:
            out += bytes((chance.randrange(128), chance.randrange(128)))
        elif code < 15:
            out += signed(chance.choice((0, 1, -1, 40, -40, 5000, -3000, 70000)), chance)
            if code == 14:
                out += varint(chance.randrange(300), chance)
                out += varint(chance.randrange(300), chance) + varint(chance.randrange(300), chance)
    return bytes(out)


def emit_synthetic(chance):
    units = chance.randint(1, 200)
    names = {"co_linetable" if sys.version_info >= (3, 10) else "co_lnotab": synthetic(chance, units)}
    code = (lambda: None).__code__.replace(
        co_code=bytes((dis.opmap["NOP"], 0)) * units, co_firstlineno=100_000, **names
    )
    emit(code)


def main():
    print(sys.hexversion)
    for name in MODULES:
        spec = importlib.util.find_spec(name)
        with open(spec.origin, "rb") as source:
            for code in walk(compile(source.read(), spec.origin, "exec", dont_inherit=True)):
                emit(code)
    for level in (0, 2):
        for code in walk(compile(SHAPES, "shapes", "exec", optimize=level)):
            emit(code)
    chance = random.Random(1)
    for _ in range(500):
        emit_synthetic(chance)


main()
