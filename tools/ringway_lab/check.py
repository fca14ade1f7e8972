"""Builds and runs every test of Ringway; the last line says how many passed and failed. tools/check starts it.

Exit status 0 only when nothing failed. `--only STAGE` (repeatable) for people in a hurry; logs stand in the build trees.

The trees of the later stages are built ahead, whenever a stage leaves a core idle; the end-to-end tests wait much.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

from .build import PROGRAMS, ROOT, ROUGH_PROGRAMS, Ahead, build, configure, run_logged
from .cases import Count, executables_of, programs, run_suites
from .net import clean_leftovers

FUZZ_SECONDS = 15
SANITIZED = {"build-asan": ["unit", "wire"], "build-tsan": ["race"]}  # the suites that run there


def log_of(tree):
    os.makedirs(os.path.join(ROOT, tree), exist_ok=True)
    return os.path.join(ROOT, tree, "check.log")


def release():
    """Release build of everything; unit, wire, duet and race tests."""
    folder = build("build", log_path=log_of("build"))
    return run_suites(folder, ["unit", "wire", "duet", "race"], log_of("build"))


def tidy():
    """Rules of the house: include floors, headers alone, a test for each verdict."""
    return run_suites(configure("build", log_path=log_of("build")), ["tidy"], log_of("build"))


def fuzz_targets():
    return executables_of(configure("build-fuzz", log_path=log_of("build-fuzz")), "tests/fuzz/meson.build")


def targets(tree):
    """What ninja builds in a tree that has no use for all of the project."""
    folder = configure(tree, log_path=log_of(tree))
    if tree in SANITIZED:
        return programs(folder, SANITIZED[tree])
    return [os.path.relpath(path, folder) for _, path in fuzz_targets()]


def sanitized(tree, env):
    folder = build(tree, targets(tree), log_path=log_of(tree))
    return run_suites(folder, SANITIZED[tree], log_of(tree), env)


def asan():
    """Unit and wire tests under AddressSanitizer and UndefinedBehaviorSanitizer."""
    return sanitized("build-asan",
                     {"ASAN_OPTIONS": "strict_string_checks=1",
                      "LSAN_OPTIONS": f"suppressions={os.path.join(ROOT, 'tests', 'support', 'lsan.supp')}",
                      "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})


def tsan():
    """Plan swap, health board and rings under ThreadSanitizer."""
    return sanitized("build-tsan", {"TSAN_OPTIONS": "halt_on_error=1"})


def fuzz_one(name, path, scratch):
    room = name.removesuffix("_fuzz").removeprefix("fuzz_")
    corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", room)
    fresh = os.path.join(scratch, name)
    os.makedirs(fresh)
    known = [corpus] if os.path.isdir(corpus) else []
    return run_logged([path, f"-max_total_time={FUZZ_SECONDS}", "-seed=1", "-timeout=10", "-rss_limit_mb=3000", "-print_final_stats=1",
                       f"-artifact_prefix={ROOT}/build-fuzz/crash-{name}-", fresh, *known],
                      os.path.join(ROOT, "build-fuzz", f"{name}.log"), timeout=FUZZ_SECONDS * 4 + 60) == 0


def fuzz():
    """Every libFuzzer target for a bounded time, from the corpus in the tree."""
    build("build-fuzz", targets("build-fuzz"), log_path=log_of("build-fuzz"))
    count = Count()
    with tempfile.TemporaryDirectory(prefix=f"rw-{os.getpid()}-fuzz") as scratch:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            chosen = fuzz_targets()
            for (name, _), ok in zip(chosen, pool.map(lambda t: fuzz_one(*t, scratch), chosen)):
                count.case(ok, f"fuzz {name} (build-fuzz/{name}.log)")
    return count


def in_the_lab(program, *runs):
    """A test program of tests/e2e; it writes its counts as JSON. `runs`: (name, more words, core of its gateways), side
    by side."""
    build("build", PROGRAMS + ROUGH_PROGRAMS, log_path=log_of("build"))
    count, started = Count(), []
    for name, words, core in runs:
        report, log = (os.path.join(ROOT, "build", name + ending) for ending in (".json", ".log"))
        if os.path.exists(report):
            os.remove(report)
        with open(log, "wb") as out:
            process = subprocess.Popen(["/usr/bin/python3", os.path.join(ROOT, program), "--json", report, *words], cwd=ROOT,
                                       stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       env={**os.environ, "RINGWAY_LAB_CORE": str(core)})
        started.append((process, report, log))
    try:
        for process, _, _ in started:
            process.wait()
    finally:
        # After Ctrl-C, which they have seen, too: they take their labs down.
        for process, _, _ in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
    for _, report, log in started:
        if not os.path.exists(report):
            count.case(False, f"{program} did not finish ({log})")
            continue
        with open(report) as f:
            told = json.load(f)
        count.add(Count(told["passed"], told["failed"], told["skipped"], told["broken"]))
    return count


def e2e():
    """The gateway in namespaces with curl, wrk, nginx, dig and a raw-socket abuser."""
    def share(name, core, *more):
        return "-".join(["e2e", name, *more[1:]]), ["--share", name, *more], core
    last = os.cpu_count() - 1
    count = in_the_lab("tests/e2e/run.py", share("alone", last))
    waiting = [share("waiting", 0, "--family", family) for family in ("4", "6")]
    count.add(in_the_lab("tests/e2e/run.py", share("working", last), *waiting))
    return count


def suites():
    """Request smuggling corpora against the running gateway, judged by two strict parsers."""
    return in_the_lab("tests/e2e/desync.py", ("desync", [], os.cpu_count() - 1))


STAGES = {f.__name__: f for f in (release, tidy, e2e, suites, asan, tsan, fuzz)}
TREES = {"asan": "build-asan", "tsan": "build-tsan", "fuzz": "build-fuzz"}  # stages with one of their own


def run_stage(name, ahead):
    """(Count, what kept it from running). A stage that cannot run is a failure; the others still tell what they can."""
    try:
        ahead.join(TREES.get(name))
        return STAGES[name](), None
    except Exception as e:
        count = Count()
        count.case(False, f"{name} did not run")
        return count, e


def main():
    parser = argparse.ArgumentParser(prog="tools/check", description=__doc__)
    parser.add_argument("--only", action="append", choices=STAGES, metavar="STAGE",
                        help="one of: " + ", ".join(STAGES))
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("check: needs root (network namespaces, AF_XDP sockets). Run: sudo tools/check")

    chosen = args.only or list(STAGES)
    failed = passed = 0
    whole = time.monotonic()
    try:
        with Ahead([TREES[name] for name in chosen if name in TREES], targets) as ahead:
            for name in chosen:
                started = time.monotonic()
                print(f"{name:8} ", end="", flush=True)
                count, problem = run_stage(name, ahead)
                passed, failed = passed + count.passed, failed + count.failed
                print(f"{time.monotonic() - started:5.0f} s  {count.passed:5} passed  {count.failed:3} failed"
                      + (f"  {count.skipped} skipped" if count.skipped else ""), flush=True)
                if problem:
                    print(f"         {problem}")
                for broken in count.broken:
                    print(f"         FAILED {broken}", flush=True)
    except KeyboardInterrupt:
        print("stopped")
        failed += 1
    finally:
        if os.path.isdir("/var/run/netns"):
            clean_leftovers()
    print(f"{time.monotonic() - whole:.0f} s in all")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
