"""A bad wire on either leg: what is sent arrives, unaltered, and not much slower than from Linux to Linux on that wire.

The small form of tools/loss, whose long form writes docs/loss.md.
"""

import sys
import unittest

from lab_case import GATEWAY, Lab
from ringway_lab.rough import FAULTS, Rough

MIB = 4
# Mbit/s of one transfer that mean something is broken. A few megabytes that meet one retransmission timeout more or less
# say no more than that; how fast the whole is stands in the last test.
FLOORS = {"clean": 60, "0.1 % lost": 8, "1 % lost": 6, "5 % lost": 1, "20 % reordered": 15, "1 % duplicated": 40,
          "1 % corrupted": 6, "10 Mbit/s policed": 0.5}
SLOWER_MAX = 3.0  # all of Ringway's transfers together, against Linux' on the same wire


@unittest.skipIf(GATEWAY != "ringway", "Ringway's own")
class BadWire(unittest.TestCase):
    share = "working"  # the floors are far below what it moves
    seconds = {"linux": 0.0, "ringway": 0.0}

    @classmethod
    def setUpClass(cls):
        cls.rough = Rough(cls.enterClassContext(Lab()), ("linux", "ringway")).start()

    def carry(self, fault):
        size = (MIB << 20) // (8 if "policed" in fault.name else 1)
        faults = 0
        for leg in ("client", "backend"):
            with self.rough.bad(fault, leg) as told:
                for direction in ("download", "upload"):
                    for way in ("linux", "ringway"):
                        got = self.rough.transfer(direction, way, size, patience=20)
                        with self.subTest(leg=leg, direction=direction, way=way):
                            self.assertTrue(got.ok, f"{got.problem}; {self.rough.mesh.gateway.numbers()}")
                        if way == "ringway":
                            with self.subTest(leg=leg, direction=direction):
                                self.assertGreater(got.mbit_s, FLOORS[fault.name], self.rough.mesh.gateway.numbers())
                        self.seconds[way] += got.seconds
            faults += told["faults"]
        if fault.name != "clean":
            self.assertGreater(faults, 0, "the wire was not bad")
        self.assertTrue(self.rough.mesh.gateway.process.running(), self.rough.mesh.gateway.process.log())

    def test_zz_not_much_slower_than_linux_to_linux_over_all(self):
        sys.stderr.write(f"    seconds in all: {self.seconds}\n")
        self.assertGreater(self.seconds["linux"], 0)
        self.assertLess(self.seconds["ringway"], SLOWER_MAX * self.seconds["linux"])


def one(fault):
    return lambda self: self.carry(fault)


for number, each in enumerate(FAULTS):
    words = each.name.replace(" % ", " percent ").replace(".", " ").replace("/", " ").replace(" ", "_").lower()
    setattr(BadWire, f"test_{number}_{words}_arrives_whole_in_time", one(each))
