#!/usr/bin/python3
"""run.py [-k WORD] [--family 4|6] [--share alone|working|waiting] [--json FILE]: the end-to-end tests, against build/ (or
RINGWAY_BUILD). Needs root.

Every class runs twice, over IPv4 and, as CLASSOverIp6, over IPv6. The shares `working` and `waiting` may run side by side;
lab_case.py says what they are."""

import argparse
import json
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools"))


class Timed(unittest.TextTestResult):
    good = 0

    def startTest(self, test):
        self.at = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.good += 1
        super().addSuccess(test)
        self.stream.writeln(f"    {time.monotonic() - self.at:.1f} s")


def cases(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from cases(part)
        else:
            yield part


def over_ip6(loader, suite):
    """The same tests over IPv6."""
    out, seen = unittest.TestSuite(), set()
    for case in cases(suite):
        made = type(case)
        if made in seen or getattr(made, "families", None) != (4, 4) or made.ip4_only:
            continue
        seen.add(made)
        other = type(made.__name__ + "OverIp6", (made,), {"families": (6, 6), "__module__": made.__module__,
                                                          "__qualname__": made.__qualname__ + "OverIp6"})
        out.addTests(loader.loadTestsFromTestCase(other))
    return out


def in_share(suite, name):
    """The tests of one share. What could not even be loaded is among those that wait."""
    def of(case):
        return case.share if isinstance(getattr(type(case), "share", None), str) else "waiting"
    return unittest.TestSuite(case for case in cases(suite) if of(case) == name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", action="append", help="only tests whose name contains this word")
    parser.add_argument("--family", choices=("4", "6"), help="only over this one; both when not said")
    parser.add_argument("--share", choices=("alone", "working", "waiting"), help="only this one; all when not said")
    parser.add_argument("--json", help="write the counts there")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("e2e: needs root for network namespaces; skipped")
        return 77  # meson: skipped
    loader = unittest.TestLoader()
    tests = loader.discover(HERE, "test_*.py")
    if args.k:
        loader.testNamePatterns = [f"*{word}*" for word in args.k]
    six = over_ip6(loader, tests)
    four = loader.discover(HERE, "test_*.py")
    chosen = unittest.TestSuite({"4": [four], "6": [six]}.get(args.family, [four, six]))
    if args.share:
        chosen = in_share(chosen, args.share)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Timed).run(chosen)
    bad = [str(test) for test, _ in result.failures + result.errors]
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"passed": result.good, "failed": len(bad), "skipped": len(result.skipped), "broken": bad}, f)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
