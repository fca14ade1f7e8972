"""Ringway's TCP beside Linux's, behaviour by behaviour: one test per case of compliance.py, and the page that tells them."""

import platform
import re
import unittest

import compliance
from lab_case import GATEWAY, Lab


class Compliance(unittest.TestCase):
    """All cases run once, together; the tests look at what they saw."""

    @classmethod
    def setUpClass(cls):
        if GATEWAY != "ringway":
            raise unittest.SkipTest("Ringway's own")
        with Lab() as lab:
            world = compliance.World(lab)
            try:
                cls.outcomes = world.run(compliance.load_cases())
            finally:
                world.peer.close()
            cls.lives = world.mesh.gateway.process.running()

    def test_gateway_runs_after_all_of_them(self):
        self.assertTrue(self.lives)

    def test_every_name_stands_once(self):
        names = [case.name for case in compliance.CASES]
        self.assertEqual(len(names), len(set(names)))

    def test_page_tells_what_was_seen(self):
        """On the kernel that the page names, Linux's column too."""
        with open(compliance.PAGE) as f:
            told = f.read()
        seen = compliance.page(self.outcomes)
        same_kernel = f"Linux {'.'.join(platform.release().split('.')[:2])} socket" in told
        rows = [[line.split(" | ") for line in text.splitlines() if line.startswith("| ")] for text in (told, seen)]
        keep = slice(None) if same_kernel else slice(0, 4)
        self.assertEqual([row[keep] for row in rows[0]], [row[keep] for row in rows[1]],
                         "run tests/e2e/compliance.py --write")
        count = re.search(r"^(\d+) behaviours", told, re.M)[1]
        self.assertEqual(int(count), len(compliance.CASES))

    def test_what_linux_does_otherwise_is_explained(self):
        missing = [case.name for case in compliance.CASES
                   if len(set(self.outcomes[case.name])) > 1 and not case.why]
        self.assertFalse(missing)


def test_of(case):
    def test(self):
        ringway, linux = self.outcomes[case.name]
        self.assertEqual(ringway, case.ringway, f"Linux: {linux}")
    test.__doc__ = f"{case.rfc}: {case.behaviour}"
    return test


for each in compliance.load_cases():
    setattr(Compliance, f"test_{each.name}", test_of(each))
