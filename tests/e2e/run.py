#!/usr/bin/python3
"""run.py [-k WORD] [--json FILE] [-v]: the end-to-end tests, against build/ (or RINGWAY_BUILD). Needs root."""

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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", action="append", help="only tests whose name contains this word")
    parser.add_argument("--json", help="write the counts there")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("e2e: needs root for network namespaces; skipped")
        return 77  # meson: skipped
    loader = unittest.TestLoader()
    if args.k:
        loader.testNamePatterns = [f"*{word}*" for word in args.k]
    result = unittest.TextTestRunner(verbosity=2, resultclass=Timed).run(loader.discover(HERE, "test_*.py"))
    bad = [str(test) for test, _ in result.failures + result.errors]
    if args.json:
        with open(args.json, "w") as f:
            json.dump({"passed": result.good, "failed": len(bad), "skipped": len(result.skipped), "broken": bad}, f)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
