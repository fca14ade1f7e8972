#!/usr/bin/python3
"""desync.py [--json FILE] [SUITE ...]: request-smuggling corpora against the running gateway.

The judging programs and the corpora belong to the shared test data beside the project (RINGWAY_SHARED, or ../shared);
where they are absent nothing runs and the output says so. Suites:

    h1_garden, h1_desyncbox, ...     raw HTTP/1.1 to an HTTP/1.1 origin that parses strictly
    h1_garden_to_h2, ...             the same to an HTTP/2 endpoint that believes the gateway (downgrade.py), before the origin
    h2_smuggle                       HTTP/2 requests that would be more than one in HTTP/1.1, to an HTTP/1.1 origin
    h2frames                         broken and unbroken frames

Each suite has a service of its own with one endpoint, no health check and no retries; a judge is client and origin at
once. All run side by side through one gateway: they mostly wait.
"""

import argparse
import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from ringway_lab.mesh import Mesh, Service  # noqa: E402
from ringway_lab.net import Lab, LabError, wait_until  # noqa: E402
from ringway_lab.task import NginxTask, Task  # noqa: E402

CORPORA = ("h1_garden", "h1_desyncbox", "h1_smuggler", "h1_llhttp_consensus", "h1_pico_consensus")
TO_H2 = "_to_h2"
SUITES = (*CORPORA, *(corpus + TO_H2 for corpus in CORPORA), "h2_smuggle", "h2frames")
ORIGIN_PORT = 9090  # of the judge behind downgrade.py
SECONDS = 600


class Judge(Task):
    """The endpoint's address; the judging program itself listens there."""

    def start(self):
        return self


class Believer(Task):
    """An HTTP/2 endpoint in front of the judge."""

    def command(self):
        return ["/usr/bin/python3", os.path.join(HERE, "downgrade.py"), f"{self.ip}:{self.port}", f"{self.ip}:{ORIGIN_PORT}"]


def shared():
    return os.environ.get("RINGWAY_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")


def service_of(suite, number):
    none = dict.fromkeys(["path", "intervalSeconds", "timeoutSeconds", "healthyThreshold", "unhealthyThreshold"])
    quiet = {"healthCheck": {"protocol": "none", **none}, "timeout": {"perRequestTimeoutSeconds": 5}, "retry": {"retries": 0}}
    to_h2 = suite.endswith(TO_H2)
    kind = Believer if to_h2 else NginxTask if suite == "h2frames" else Judge
    # Names of the lab's interfaces are short.
    return Service(f"s{number}-service", 80, 1, kind, {**quiet, **({"appProtocol": "http2"} if to_h2 else {})})


def start_judge(suite, service):
    """The judge runs on the origin's host and reaches the service address over the gateway like any client."""
    origin = service.members[0]
    at = f"{origin.ip}:{ORIGIN_PORT if suite.endswith(TO_H2) else origin.port}"
    programs = os.path.join(shared(), "suites")
    if suite == "h2frames":
        words = [os.path.join(programs, "h2frames.py"), service.authority]
    elif suite == "h2_smuggle":
        words = [os.path.join(programs, "h2_smuggle.py"), service.authority, at]
    else:
        corpus = os.path.join(shared(), "data", "suites", suite.removesuffix(TO_H2) + ".dev.json")
        words = [os.path.join(programs, "desync.py"), service.authority, at, corpus, "--name", suite]
    return origin.namespace.start("/usr/bin/python3", *words, title=suite)


def verdict(suite, process, seconds):
    """(passed, total, text) of a suite."""
    status = process.wait(max(1, seconds))
    if status is None:
        process.kill()
    text = process.log(1000)
    match = re.search(r"passed (\d+) of (\d+)(.*)", text)
    if status != 0 or not match or match[3] or match[2] == "0":
        return 0, max(1, int(match[2]) if match else 1), f"{suite}: {text}"
    return int(match[1]), int(match[2]), text


def accepts(mesh):
    try:
        for service in mesh.services:
            mesh.connect(service.name, 1).close()
        return True
    except OSError:
        return False


def judge(lab, suites, gateway):
    """[(suite, passed, total, text)]"""
    mesh = Mesh(lab, [service_of(suite, i) for i, suite in enumerate(suites, 1)], gateway)
    for task in mesh.tasks():
        task.start()
    mesh.gateway.start(wait=False)
    if not wait_until(lambda: accepts(mesh), 10, 0.1):
        raise LabError(f"the gateway does not accept: {mesh.gateway.process.log()}")
    until = time.monotonic() + SECONDS
    judges = [(suite, start_judge(suite, service)) for suite, service in zip(suites, mesh.services)]
    told = [(suite, *verdict(suite, process, until - time.monotonic())) for suite, process in judges]
    # A judge asks a second parser in a process of its own, which may come too late on a busy machine: what was not passed
    # is judged once more, alone. What is wrong is wrong then too.
    for at, (suite, passed, total, _) in enumerate(told):
        if passed < total:
            told[at] = (suite, *verdict(suite, start_judge(suite, mesh.services[at]), until - time.monotonic()))
    if not mesh.gateway.process.running():
        raise LabError(f"the gateway is gone: {mesh.gateway.process.log()}")
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--gateway", default="ringway", help=argparse.SUPPRESS)
    parser.add_argument("suite", nargs="*", default=SUITES)
    args = parser.parse_args()
    told = {"passed": 0, "failed": 0, "skipped": 0, "broken": []}
    results = []
    if not os.path.isdir(os.path.join(shared(), "suites")):
        print(f"no shared test data at {shared()}; set RINGWAY_SHARED")
        told["skipped"] = len(args.suite)
    else:
        try:
            with Lab() as lab:
                results = judge(lab, args.suite, args.gateway)
        except LabError as e:
            results = [("suites", 0, 1, str(e))]
    for suite, passed, total, text in results:
        print(text.strip(), flush=True)
        told["passed"] += passed
        told["failed"] += total - passed
        broken = [f"{suite} {line[5:120]}" for line in text.splitlines() if line.startswith("FAIL")]
        if passed < total and not broken:
            broken = [f"{suite}: {text.strip()[-200:]}"]
        told["broken"] += broken
    if args.json:
        with open(args.json, "w") as f:
            json.dump(told, f)
    return 1 if told["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
