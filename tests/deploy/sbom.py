"""Checks the list of what the program is made of: sbom.py FILE

By CycloneDX' own schema, strictly; and against what cargo itself links into the program. A list from which something is
taken or to which something is added, and one that has a field of another name, must not pass.
"""

import json
import pathlib
import subprocess
import sys
import tomllib

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = pathlib.Path(__file__).resolve().parents[2]
OWN = "strata"


def linked(target):
    """Crates that are linked into the program, by name and version: not those that only run while it is compiled."""
    tree = ["tree", "--locked", "--package", OWN, "--edges", "normal,no-proc-macro", "--target", target]
    done = subprocess.run(["cargo", *tree, "--prefix", "none"], cwd=ROOT, check=True, capture_output=True, text=True)
    words = [line.split() for line in done.stdout.splitlines() if line]
    crates = {(name, version.removeprefix("v")) for name, version, *_ in words}
    return {crate for crate in crates if crate[0] != OWN}


def locked():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]) for package in lock["package"]}


def unlike_the_schema(said):
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(said))
    if error is not None:
        yield f"it is no CycloneDX 1.5: {error}"


def unlike_the_program(said, crates):
    listed = {(it["name"], it["version"]) for it in said["components"]}
    for what, some in [("missing", crates - listed), ("not in Cargo.lock", listed - locked())]:
        if some:
            yield f"{what}: {sorted(some)}"
    about = said["metadata"]["component"]
    if (about["name"], about["type"]) != (OWN, "application"):
        yield f"it is about {about['name']}, of type {about['type']}"
    for field in ["licenses", "purl"]:
        without = [it["name"] for it in said["components"] if not it.get(field)]
        if without:
            yield f"without {field}: {without}"
    # Those of the workspace are no packages.
    unhashed = [it["name"] for it in said["components"] if not it.get("hashes") and "path+file" not in it["bom-ref"]]
    if unhashed:
        yield f"without a hash: {unhashed}"


def planted(said, crates):
    some = next(it for it in said["components"] if (it["name"], it["version"]) in crates)
    rest = [it for it in said["components"] if it is not some]
    other = dict(some, version="99.0.0")
    few = dict(said, components=[dict(some, sort="library")], dependencies=[])
    for what, found in [
        ("a crate that is missing", unlike_the_program(dict(said, components=rest), crates)),
        ("a crate of another version", unlike_the_program(dict(said, components=[*rest, some, other]), crates)),
        ("a field of another name", unlike_the_schema(few)),
    ]:
        if not list(found):
            yield f"{what} is not found"


def main():
    file = pathlib.Path(sys.argv[1])
    machine = file.name.split("-linux")[0].rsplit("-", 1)[1]
    said, crates = json.loads(file.read_text()), linked(f"{machine}-unknown-linux-musl")
    found = [*unlike_the_schema(said), *unlike_the_program(said, crates), *planted(said, crates)]
    for line in found:
        print(f"{file.name}: {line}")
    print(f"{file.name}: {len(crates)} crates linked, {len(said['components'])} listed, {len(found)} wrong")
    sys.exit(1 if found else 0)


main()
