#!/usr/bin/python3
"""Rules of the house that a script can hold: who includes whom, how long a file is, that every verdict has a test.

Each test names every place that breaks its rule.
"""

import os
import re
import stat
import unittest

from tree import ROOT, files, includes, text

CODE = (".cc", ".h", ".def")
FLOORS = ["src/base", "src/wire", "src/lookup", "src/contract", ("dataplane", "control"), "src/app"]
LINES_MAX = 700


def room_of(path):
    """(floor, room) of a source file; (None, None) for tests and tools, which may see everything."""
    for number, rooms in enumerate(FLOORS):
        for room in rooms if isinstance(rooms, tuple) else (rooms,):
            if path.startswith(room + "/"):
                return number, room
    return None, None


class Includes(unittest.TestCase):
    def assertNoBreach(self, breaches):
        self.assertFalse(breaches, "\n" + "\n".join(breaches))

    def test_floors_include_downward_only_and_planes_never_each_other(self):
        breaches = []
        for path in files(*CODE):
            floor, room = room_of(path)
            if floor is None:
                continue
            for quote, name in includes(path):
                if quote != '"':
                    continue
                other_floor, other_room = room_of(name)
                if other_floor is None:
                    breaches.append(f"{path} includes {name}, which is not written from the root or not below it")
                elif other_floor > floor or (other_floor == floor and other_room != room):
                    breaches.append(f"{path} includes {name}: {room} must not see {other_room}")
        self.assertNoBreach(breaches)

    def test_tcp_and_http_do_not_know_each_other(self):
        pairs = {"dataplane/tcp/": ("dataplane/http/", "dataplane/relay/"),
                 "dataplane/http/": ("dataplane/tcp/", "dataplane/relay/")}
        self.assertNoBreach([f"{path} includes {name}" for own, forbidden in pairs.items()
                             for path in files(*CODE, under=own) for _, name in includes(path)
                             if name.startswith(forbidden)])

    def test_dpdk_headers_stay_in_their_rooms(self):
        allowed = ("dataplane/dpdk/", "dataplane/port/", "dataplane/mbuf/", "src/app/", "src/contract/ring.h", "tests/")
        self.assertNoBreach([f"{path} includes <{name}>" for path in files(*CODE) if not path.startswith(allowed)
                             for _, name in includes(path) if name.startswith("rte_")])

    def test_hyperscan_headers_stay_in_their_rooms(self):
        allowed = ("dataplane/inspect/", "control/compile/", "tests/")
        self.assertNoBreach([f"{path} includes <{name}>" for path in files(*CODE) if not path.startswith(allowed)
                             for _, name in includes(path) if re.match(r"hs(/|\.h|_)", name)])

    def test_headers_have_pragma_once(self):
        self.assertNoBreach([path for path in files(".h") if "#pragma once" not in text(path)])


class Texts(unittest.TestCase):
    def test_no_file_is_longer_than_its_room_deserves(self):
        long = [f"{path}: {n} lines" for path in files(".cc", ".h", ".py")
                if (n := text(path).count("\n")) > LINES_MAX]
        self.assertFalse(long, long)

    def test_nothing_is_left_unfinished(self):
        marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
        found = [f"{path}: {line.strip()}" for path in files(*CODE, ".py") for line in text(path).splitlines()
                 if marks.search(line)]
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_no_path_of_one_machine(self):
        machine = re.compile(r"(?<![\w.>)}\]])/(?:work|home|root|Users)/\w")
        found = [f"{path}: {line.strip()[:100]}" for path in files(*CODE, ".py", ".md", ".yaml", ".build", ".json")
                 if not path.endswith("tidy_test.py") for line in text(path).splitlines() if machine.search(line)]
        self.assertFalse(found, "\n" + "\n".join(found))


class Verdicts(unittest.TestCase):
    def test_every_verdict_is_provoked_by_a_test(self):
        names = re.findall(r"^RW_VERDICT\((\w+),", text("src/contract/verdict.def"), re.M)
        self.assertGreater(len(names), 40)
        tests = "\n".join(text(path) for path in files(".cc", ".h", under="tests"))
        missing = [name for name in names if name != "ok" and not re.search(rf"Verdict::{name}\b", tests)]
        self.assertFalse(missing, f"no test names these verdicts: {missing}")


class Counters(unittest.TestCase):
    def test_every_counter_is_provoked_by_a_test(self):
        names = re.findall(r"^RW_COUNTER\((\w+),", text("src/contract/counters.def"), re.M)
        self.assertGreater(len(names), 60)
        tests = "\n".join(text(path) for path in files(".cc", ".h", under="tests"))
        programs = "\n".join(text(path) for path in files(".py", under="tests/e2e"))
        missing = [name for name in names if not re.search(rf"Counter::{name}\b", tests)
                   and not re.search(rf"['\"]{name}['\"]", programs)]
        self.assertFalse(missing, f"no test names these counters: {missing}")


class Events(unittest.TestCase):
    def test_every_event_of_the_recorder_is_provoked_by_a_test(self):
        names = re.findall(r"^RW_EVENT\((\w+),", text("src/contract/recorder.def"), re.M)
        self.assertGreater(len(names), 15)
        # Told by a core or by control, beside the test of their sentences.
        tests = "\n".join(text(path) for path in files(".cc", ".h", under="tests") if not path.startswith("tests/unit/trace/"))
        missing = [name for name in names if not re.search(rf"EventKind::{name}\b", tests)]
        self.assertFalse(missing, f"no test names these events: {missing}")


class Limits(unittest.TestCase):
    def test_regret_27_a_limit_stands_once_and_what_is_a_default_is_within_it(self):
        limits = text("src/contract/limits.h")
        names = re.findall(r"constexpr \w+ (k\w+) =", limits)
        self.assertGreater(len(names), 20)
        again = [f"{path}: {name}" for path in files(*CODE) if path != "src/contract/limits.h" and not path.startswith("tests/")
                 for name in re.findall(r"constexpr \w+ (k\w+) =", text(path)) if name in names]
        self.assertFalse(again, again)
        for name in names:
            most = name.removesuffix("Default") + "Max"
            if name.endswith("Default") and most in names:
                self.assertIn(f"static_assert({name} <= {most});", limits)


class Packaging(unittest.TestCase):
    def test_every_package_says_why(self):
        bad = [line for line in text("tools/packages.txt").splitlines()
               if line and not line.startswith("#") and not re.match(r"^[a-z0-9][a-z0-9.+-]+\s{2,}\S+( \S+){2,}", line)]
        self.assertFalse(bad, bad)

    def test_packages_stand_once(self):
        names = [line.split()[0] for line in text("tools/packages.txt").splitlines() if line and line[0] != "#"]
        self.assertEqual(len(names), len(set(names)))

    def test_readme_names_the_two_commands(self):
        readme = text("README.md")
        for command in ("tools/quickstart", "tools/check"):
            self.assertIn(command, readme)

    def test_commands_can_be_run(self):
        for command in ("tools/install", "tools/quickstart", "tools/check", "tools/compare", "tools/lab", ".ci/run"):
            mode = os.stat(os.path.join(ROOT, command)).st_mode
            self.assertTrue(mode & stat.S_IXUSR, f"{command} has no run bit")

    def test_ci_runs_check(self):
        self.assertIn("tools/check", text(".ci/run"))


if __name__ == "__main__":
    unittest.main()
