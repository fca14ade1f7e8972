#!/usr/bin/python3
"""desync.py [--json FILE] [CORPUS ...]: request-smuggling corpora against the running gateway.

The judging program and the corpora belong to the shared test data beside the project (RINGWAY_SHARED, or ../shared);
where they are absent nothing runs and the output says so. One service with one endpoint, no health check, no retries:
the judge is client and origin at once, each in its own network namespace.
"""

import argparse
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))

from ringway_lab.mesh import Mesh, Service  # noqa: E402
from ringway_lab.net import Lab, LabError, wait_until  # noqa: E402
from ringway_lab.task import Task  # noqa: E402

CORPORA = ("h1_garden", "h1_desyncbox", "h1_smuggler", "h1_llhttp_consensus", "h1_pico_consensus")


class Judge(Task):
    """The endpoint's address; the judging program itself listens there."""

    def start(self):
        return self


def shared():
    return os.environ.get("RINGWAY_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")


def judge(mesh, corpus):
    """(passed, total, lines) of one corpus."""
    service = mesh.services[0]
    origin = service.members[0]
    program = os.path.join(shared(), "suites", "desync.py")
    file = os.path.join(shared(), "data", "suites", corpus + ".dev.json")
    # The judge runs on the origin's host and reaches the service address over the gateway like any client.
    done = origin.namespace.run("/usr/bin/python3", program, f"{service.authority}",
                                f"{origin.ip}:{origin.port}", file, "--name", corpus, timeout=600)
    match = re.search(r"passed (\d+) of (\d+)(.*)", done.stdout)
    if not match or match[3] or done.returncode != 0:
        return 0, max(1, int(match[2]) if match else 1), done.stdout + done.stderr
    return int(match[1]), int(match[2]), done.stdout


def accepts(mesh):
    try:
        mesh.connect("suite-service", 1).close()
        return True
    except OSError:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    parser.add_argument("--gateway", default="ringway", help=argparse.SUPPRESS)
    parser.add_argument("corpus", nargs="*", default=CORPORA)
    args = parser.parse_args()
    told = {"passed": 0, "failed": 0, "skipped": 0, "broken": []}
    if not os.path.isdir(os.path.join(shared(), "suites")):
        print(f"no shared test data at {shared()}; set RINGWAY_SHARED")
        told["skipped"] = len(args.corpus)
    else:
        for corpus in args.corpus:
            none = dict.fromkeys(["path", "intervalSeconds", "timeoutSeconds", "healthyThreshold", "unhealthyThreshold"])
            quiet = {"healthCheck": {"protocol": "none", **none}, "timeout": {"perRequestTimeoutSeconds": 5}}
            with Lab() as lab:
                options = {"settings": {"limits": {"attempts": 1}}} if args.gateway == "ringway" else {}
                mesh = Mesh(lab, [Service("suite-service", 80, 1, Judge, quiet)], args.gateway, **options)
                try:
                    mesh.gateway.start(wait=False)
                    if not wait_until(lambda: accepts(mesh), 10, 0.1):
                        raise LabError(f"the gateway does not accept: {mesh.gateway.process.log()}")
                    passed, total, text = judge(mesh, corpus)
                except (LabError, subprocess.TimeoutExpired) as e:
                    passed, total, text = 0, 1, str(e)
            print(text.strip(), flush=True)
            told["passed"] += passed
            told["failed"] += total - passed
            told["broken"] += [line[5:120] for line in text.splitlines() if line.startswith("FAIL")]
            if passed < total and not told["broken"]:
                told["broken"].append(f"{corpus}: {text.strip()[-200:]}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(told, f)
    return 1 if told["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
