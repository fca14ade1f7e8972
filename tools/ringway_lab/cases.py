"""Runs the tests of a build tree and counts cases, not programs: a GoogleTest program reports each of its cases."""

import glob
import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field

from .build import ROOT, run_logged


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list = field(default_factory=list)  # names of what failed

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.broken += other.broken

    def case(self, ok, name):
        self.passed += bool(ok)
        self.failed += not ok
        if not ok:
            self.broken.append(name)


def introspect(folder, what):
    return json.loads(subprocess.run(["meson", "introspect", folder, what], cwd=ROOT, capture_output=True, text=True,
                                     check=True).stdout)


def programs(folder, suites):
    """Programs that the tests of these suites run, themselves or by a script, as ninja names them."""
    built = {os.path.relpath(t["filename"][0], folder) for t in introspect(folder, "--targets") if t["type"] == "executable"}
    names = set()
    for test in introspect(folder, "--tests"):
        if {s.split(":")[-1] for s in test["suite"]} & set(suites):
            words = {os.path.relpath(w, folder) if w.startswith(folder + "/") else w for w in test["cmd"]}
            names |= words & built
    return sorted(names)


def executables_of(folder, meson_file):
    """Executables that one meson.build defines: (name, path)."""
    where = os.path.join(ROOT, meson_file)
    return sorted((t["name"], t["filename"][0]) for t in introspect(folder, "--targets")
                  if t["type"] == "executable" and os.path.realpath(t["defined_in"]) == os.path.realpath(where))


def gtest_count(path, count):
    with open(path) as f:
        report = json.load(f)
    for suite in report.get("testsuites", []):
        for case in suite.get("testsuite", []):
            name = f"{suite['name']}.{case['name']}"
            if case.get("result") == "SKIPPED" or case.get("status") == "NOTRUN":
                count.skipped += 1
            else:
                count.case(not case.get("failures"), name)


def run_suites(folder, suites, log_path, env=None):
    """`meson test` of these suites, counted. A program that crashes counts as one failure more."""
    reports = os.path.join(folder, "reports")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    words = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs"]
    for suite in suites:
        words += ["--suite", suite]
    log_json = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(log_json):
        os.remove(log_json)
    run_logged(words, log_path, {**(env or {}), "GTEST_OUTPUT": f"json:{reports}/"})
    count, reported = Count(), set()
    if not os.path.exists(log_json):
        count.case(False, f"meson test did not run ({log_path})")
        return count
    with open(log_json) as f:
        results = [json.loads(line) for line in f]
    for result in results:
        program = os.path.basename(result["command"][0])  # two programs of one name report together
        mine = Count()
        for path in glob.glob(os.path.join(reports, program + ".json")) + glob.glob(
                os.path.join(reports, program + "_[0-9]*.json")):
            gtest_count(path, mine)
            os.remove(path)
            reported.add(program)
        good = result["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
        if not good and not mine.failed:
            mine.case(False, f"{result['name']}: {result['result']}")
        elif good and program not in reported:
            mine.case(True, result["name"])  # not GoogleTest: one case
        count.add(mine)
    return count
