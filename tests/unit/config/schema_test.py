#!/usr/bin/env python3
"""The JSON Schema against the loader: both take the examples, and both refuse each broken variant of one of them.

usage: schema_test.py SOURCE_ROOT PROBLEMS_OF
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

# (what is wrong, text in examples/routes.yaml, what stands there instead)
BROKEN = [
    ("unknown key", "ttlSeconds: 5", "ttl: 5"),
    ("missing key", "  vipRange: 10.80.64.0/24\n", ""),
    ("no cores", "cores: [1]", "cores: []"),
    ("core twice", "cores: [1]", "cores: [1, 1]"),
    ("core as text", "cores: [1]", "cores: [one]"),
    ("port out of range", "port: 8080\n    service", "port: 80800\n    service"),
    ("port as text", "port: 8080\n    service", "port: \"8080\"\n    service"),
    ("number where text belongs", "value: \"2\"", "value: 2"),
    ("address is no address", "10.80.0.11,", "10.80.0.256,"),
    ("prefix missing", "10.80.0.1/24", "10.80.0.1"),
    ("prefix too long", "10.80.0.1/24", "10.80.0.1/31"),
    ("unknown protocol", "appProtocol: http\n    endpoints: [ { address: 10.80.0.11", "appProtocol: tcp\n    endpoints: [ { address: 10.80.0.11"),
    ("unknown policy", "policy: maglev", "policy: fastest"),
    ("too many choices", "choiceCount: 2", "choiceCount: 17"),
    ("slow start without time", "seconds: 30", "aggression: 2"),
    ("slow start too short", "seconds: 30", "seconds: 0"),
    ("unknown fallback", "fallback: any", "fallback: all"),
    ("subset without label", "label: track, ", ""),
    ("label as number", "track: stable", "track: 1"),
    ("negative age of a cookie", "ttlSeconds: 3600", "ttlSeconds: -1"),
    ("priority too bad", "priority: 1", "priority: 8"),
    ("unknown hash", "on: cookie", "on: moon"),
    ("bound below one", "boundFactor: 1.25", "boundFactor: 0.5"),
    ("unknown group of events", "groups: [requests, connections]", "groups: [requests, everything]"),
    ("too few events", "events: 65536", "events: 100"),
    ("ejection percent above 100", "maxEjectionPercent: 50", "maxEjectionPercent: 101"),
    ("health path without slash", "path: /lb", "path: lb"),
    ("action that is none", "action: allow, callers", "action: permit, callers"),
    ("rule without an action", "{ action: deny, paths", "{ paths"),
    ("network without a length", "192.0.2.0/24", "192.0.2.0"),
    ("caller without networks", ", cidrs: [192.0.2.0/24]", ""),
    ("rate of nothing", "requestsPerSecond: 50,", "requestsPerSecond: 0,"),
    ("burst without a rate", "{ requestsPerSecond: 500, perCaller: { requestsPerSecond: 50, burst: 100 } }", "{ burst: 5 }"),
    ("port that is none", "[8080, \"9000-9100\"]", "[70000]"),
    ("range of ports that is none", "\"9000-9100\"", "\"9000\""),
    ("weight zero", "weight: 3", "weight: 0"),
    ("weight too large", "weight: 90", "weight: 1000001"),
    ("capital in discoveryName", "discoveryName: api-v1", "discoveryName: Api-v1"),
    ("dash before discoveryName", "discoveryName: api-v1", "discoveryName: -api"),
    ("empty label in dnsName", "dnsName: edge.shop.local", "dnsName: edge..local"),
    ("no backends", "backends: [ { service: api-v2 } ]\n      - name: orders", "backends: []\n      - name: orders"),
    ("unknown match type", "type: regex", "type: glob"),
    ("two ways to rewrite", "replacePrefixMatch: /, host", "replacePrefixMatch: /, replaceFullPath: /x, host"),
    ("path without a slash", "replacePrefixMatch: /new", "replacePrefixMatch: new"),
    ("status that is no redirect", "status: 308", "status: 304"),
    ("field name that is no token", "name: x-client", "name: \"x client\""),
    ("fault of nothing", "delay: { milliseconds: 200, percent: 5 }, header", "header"),
    ("percent above all", "percent: 1 }", "percent: 101 }"),
    ("answer without a status", "status: 418, ", ""),
    ("redirect and backends", "redirect: { scheme: https,", "backends: [ { service: web } ]\n        redirect: { scheme: https,"),
    ("nothing to do", "        directResponse: { status: 418, body: \"short and stout\\n\" }\n", ""),
    ("two kinds of device", "      address: 10.80.0.1/24", "      devices: [net_null0]\n      address: 10.80.0.1/24"),
    ("list where a mapping belongs", "gateway:\n  name: gw-1", "x: []\ngateway:\n  name: gw-1"),
]


class Yaml12(yaml.SafeLoader):
    """YAML 1.2's core schema, in which `on` and `yes` are words."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in entries if tag != "tag:yaml.org,2002:bool"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Yaml12.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def main():
    root, problems_of = pathlib.Path(sys.argv[1]), sys.argv[2]
    schema = json.loads((root / "schema" / "ringway.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failures = []

    def opinions(text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            loader = subprocess.run([problems_of, file.name], capture_output=True, text=True, timeout=20)
        if loader.returncode not in (0, 1):
            failures.append(f"the loader ended with status {loader.returncode}")
        return next(validator.iter_errors(yaml.load(text, Loader=Yaml12)), None), loader.stdout

    for example in sorted((root / "examples").glob("*.yaml")):
        by_schema, by_loader = opinions(example.read_text())
        if by_schema or by_loader:
            failures.append(f"{example.name}: {by_schema} {by_loader}")
    good = (root / "examples" / "routes.yaml").read_text()
    for what, old, new in BROKEN:
        if good.count(old) < 1:
            failures.append(f"{what}: the example has no {old!r}")
            continue
        by_schema, by_loader = opinions(good.replace(old, new, 1))
        if not by_schema:
            failures.append(f"{what}: taken by the schema")
        if not by_loader:
            failures.append(f"{what}: taken by the loader")
    print("\n".join(failures) or f"{len(BROKEN)} broken files refused by both")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
