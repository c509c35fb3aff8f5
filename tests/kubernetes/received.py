"""What a Collector's file exporter wrote of profiles: OTLP as JSON, a message a line."""

import json
import typing


class Sample(typing.NamedTuple):
    """One stack that was seen, as often as it was seen."""

    times: typing.List[int]
    functions: typing.FrozenSet[str]
    attributes: typing.Dict[str, str]
    profile: str

    def pid(self):
        return int(self.attributes.get("process.pid", 0))


def _attributes(resource, strings):
    found = {}
    for attribute in resource.get("attributes", []):
        value = attribute.get("value", {})
        key = attribute.get("key") or strings[attribute.get("keyStrindex", 0)]
        # The Collector moves texts into the dictionary.
        if "stringValueStrindex" in value:
            found[key] = strings[value["stringValueStrindex"]]
        else:
            found[key] = str(next(iter(value.values()), ""))
    return found


def _functions(stack, tables, strings):
    for index in stack.get("locationIndices", []):
        for line in tables["locationTable"][index].get("lines", []):
            function = tables["functionTable"][line.get("functionIndex", 0)]
            yield strings[function.get("nameStrindex", 0)]


def _samples(message):
    tables = message.get("dictionary", {})
    strings = tables.get("stringTable", [""])
    stacks = {}
    for resource in message.get("resourceProfiles", []):
        attributes = _attributes(resource.get("resource", {}), strings)
        for scope in resource.get("scopeProfiles", []):
            for profile in scope.get("profiles", []):
                identity = profile.get("profileId", "")
                # A profile without samples still has an id.
                yield Sample([], frozenset(), attributes, identity)
                for sample in profile.get("samples", []):
                    index = sample.get("stackIndex", 0)
                    if index not in stacks:
                        stack = tables["stackTable"][index]
                        stacks[index] = frozenset(_functions(stack, tables, strings))
                    times = [int(time) for time in sample.get("timestampsUnixNano", [])]
                    yield Sample(times, stacks[index], attributes, identity)


def read(path, begin=0):
    """All samples behind an offset of the file. A line that is still being written is left out."""
    with open(path, "rb") as file:
        file.seek(begin)
        for line in file:
            if line.endswith(b"\n"):
                yield from _samples(json.loads(line))


def plain(name):
    """A function's name as its source has it: without its module or class, and without what a compiler put behind it."""
    return name.split(" (")[0].split("(")[0].rsplit(".", 1)[-1].rsplit("::", 1)[-1]
