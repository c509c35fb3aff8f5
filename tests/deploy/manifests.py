"""Checks deploy/kustomize as `kubectl kustomize` renders it: base, overlays, components, and the example of
deploy/README.md.

    manifests.py KUBECTL        prints what is wrong, a line each, and ends with 1 if there is anything

Each rendering has to be valid, strictly, for all Kubernetes that are promised, and to keep the rules below. The rules are
then shown manifests in which something is spoiled on purpose; one that is not found is wrong too.
"""

import copy
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

import kubernetes_validate
import yaml

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUSTOMIZE = ROOT / "deploy/kustomize"
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
# Of others, so Kubernetes' schemas have none of it.
FOREIGN = {"monitoring.coreos.com/v1"}


def render(kubectl, folder):
    """What comes out as objects, and what kubectl complains of."""
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0 and not said:
        said = [f"kubectl kustomize ended with {done.returncode}"]
    objects = list(yaml.safe_load_all(done.stdout)) if done.returncode == 0 else []
    return [it for it in objects if it], said


def made_of(kubectl, text, extra=()):
    """Renders a kustomization that lies two folders below the root, so that it reaches the others by relative paths."""
    with tempfile.TemporaryDirectory(dir=ROOT / "target", prefix="kustomize-") as folder:
        (pathlib.Path(folder) / "kustomization.yaml").write_text(text)
        for name, content in extra:
            (pathlib.Path(folder) / name).write_text(content)
        return render(kubectl, folder)


def with_components(names):
    return yaml.safe_dump({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["../../deploy/kustomize/overlays/otel-collector"],
        "components": [f"../../deploy/kustomize/components/{name}" for name in names],
    })


def example():
    """The kustomization and the settings that deploy/README.md tells operators to write, with paths of this checkout."""
    text = (ROOT / "deploy/README.md").read_text()
    blocks = re.findall(r"```(yaml|toml)\n(.*?)```", text, re.S)
    found = [block for kind, block in blocks if kind == "yaml" and "kind: Kustomization" in block]
    settings = [block for kind, block in blocks if kind == "toml" and block.startswith("# strata.toml")]
    if len(found) != 1 or len(settings) != 1:
        raise SystemExit("deploy/README.md has to have one kustomization and one strata.toml as examples")
    return found[0].replace("../strata/deploy", "../../deploy"), settings[0]


def valid(objects):
    for version in VERSIONS:
        for it in objects:
            if it["apiVersion"] not in FOREIGN and (why := fault(json.dumps(it, sort_keys=True), version)):
                yield f"{it['kind']}/{it['metadata']['name']} {why}"


# Most objects are in most renderings.
@functools.cache
def fault(text, version):
    try:
        kubernetes_validate.validate(json.loads(text), version, True)
    except kubernetes_validate.ValidationError as error:
        return f"is not valid for Kubernetes {version}: {error.message}"
    except Exception as error:
        return f"can't be compared with Kubernetes {version}: {error!r}"
    return None


def known_settings():
    """Of docs/agent.md, whose table the tests hold against the program's."""
    text = (ROOT / "docs/agent.md").read_text()
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.M))


def wrong(objects, **expected):
    return [*rules.check(objects, known_settings(), **expected), *valid(objects)]


def planted(objects):
    """Each fault has to be found, and by the words that name it."""
    for words, spoil in rules.FAULTS:
        spoiled = copy.deepcopy(objects)
        spoil(rules.Manifests(spoiled))
        # By one or the other, but it takes time to compare with all versions.
        found = rules.check(spoiled, known_settings())
        if words.startswith("is not valid"):
            found = list(valid(spoiled))
        if not any(words in line for line in found):
            yield f"not found, although it was put in on purpose: {words!r}; found was {found}"


def main():
    kubectl = sys.argv[1]
    os.makedirs(ROOT / "target", exist_ok=True)
    components = sorted(it.name for it in (KUSTOMIZE / "components").iterdir())
    more = {"SYS_RESOURCE"}
    beyond = {"old-kernel": {"more": more}, "seccomp-unconfined": {"seccomp": "Unconfined"}}
    cases = [("base", render(kubectl, KUSTOMIZE / "base"), {})]
    for overlay in sorted((KUSTOMIZE / "overlays").iterdir()):
        expected = beyond.get(overlay.name, {})
        cases.append((f"overlays/{overlay.name}", render(kubectl, overlay), expected))
    for component in components:
        cases.append((f"components/{component}", made_of(kubectl, with_components([component])), beyond.get(component, {})))
    every = {"more": more, "seccomp": "Unconfined"}
    cases.append(("all components", made_of(kubectl, with_components(components)), every))
    kustomization, settings = example()
    made = made_of(kubectl, kustomization, [("strata.toml", settings)])
    cases.append(("the example of deploy/README.md", made, {}))

    count = 0
    for name, (objects, said), expected in cases:
        for line in [*said, *wrong(objects, **expected)]:
            print(f"{name}: {line}")
            count += 1
        print(f"{name}: {len(objects)} objects, for Kubernetes {VERSIONS[0]} to {VERSIONS[-1]}")
    for line in planted(cases[0][1][0]):
        print(line)
        count += 1
    print(f"{len(cases)} renderings, {len(rules.FAULTS)} planted faults, {count} wrong")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
