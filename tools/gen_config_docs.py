#!/usr/bin/env python3
"""Writes docs/configuration.md from schema/ringway.schema.json.

    tools/gen_config_docs.py            writes the file
    tools/gen_config_docs.py --check    says whether it is up to date: exit status 0, or 1
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schema" / "ringway.schema.json"
PAGE = ROOT / "docs" / "configuration.md"

INTRODUCTION = """# Configuration

One YAML 1.2 file, given by `--config FILE`. This page is written by `tools/gen_config_docs.py` from
`schema/ringway.schema.json`; point an editor at the schema and it completes and checks while you type.
`ringway check --config FILE` prints every problem at once as `file:line:column: message`, without touching a port.
Examples: `examples/service-connect.yaml`, `examples/routes.yaml`.

A text value that looks like a number or like true, false or null is written in quotes. Keys that are not listed here
are refused. What a schema cannot say is checked as well: names and addresses used twice, references to services that
do not exist, endpoints inside `vipRange`, a table size that is not a prime, regular expressions that do not compile.

What has no effect beside the rest of the file is a warning, and the file is good.

Differences from the ECS API: `clientAliases` may have more than one entry; a name without `dnsName` gets the namespace
appended only when `gateway.namespace` is set; `testTrafficRules` of an alias is `deployment.testTraffic` of the service;
`ingressPortOverride`, `tls`, `logConfiguration` and `accessLogConfiguration` are not known.
"""


def resolve(schema, node):
    if "$ref" not in node:
        return node
    target = schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def type_text(schema, node):
    if "$ref" in node:
        return type_text(schema, resolve(schema, node))
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if "const" in node:
        return json.dumps(node["const"])
    if "type" not in node:
        return " or ".join(type_text(schema, resolve(schema, one)) for one in node["oneOf"])
    if node["type"] == "array":
        return "list of " + type_text(schema, resolve(schema, node["items"]))
    text = {"object": "mapping", "integer": "whole number", "number": "number"}.get(node["type"], node["type"])
    if "minimum" in node:
        text += f", {node['minimum']} to {node['maximum']}"
    return text


def section(schema, path, node, out):
    """One table for an object, then the objects inside it."""
    out.append(f"\n## `{path}`\n" if path else "\n## The file\n")
    out.append("| key | type | default | meaning |\n|---|---|---|---|")
    inner = []
    for key, raw in node["properties"].items():
        value = resolve(schema, raw)
        default = "**required**" if key in node.get("required", []) else ""
        if "default" in value:
            default = f"`{json.dumps(value['default']).strip(chr(34))}`"
        out.append(f"| `{key}` | {type_text(schema, value)} | {default} | {value['description']} |")
        below = f"{path}.{key}" if path else key
        if value.get("type") == "array":
            value, below = resolve(schema, value["items"]), below + "[]"
        if value.get("type") == "object" and "properties" in value:  # else its keys are the user's own
            inner.append((below, value))
    for below, value in inner:
        section(schema, below, value, out)


def page():
    schema = json.loads(SCHEMA.read_text())
    out = [INTRODUCTION.rstrip()]
    section(schema, "", schema, out)
    return "\n".join(out) + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        if PAGE.exists() and PAGE.read_text() == page():
            return 0
        print("docs/configuration.md is out of date: run tools/gen_config_docs.py", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
