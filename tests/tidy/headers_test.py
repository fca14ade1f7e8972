#!/usr/bin/python3
"""Every header compiles alone: each is the only include of an empty file, with the compiler's syntax pass."""

import concurrent.futures
import os
import subprocess
import unittest

from tree import ROOT, files

PACKAGES = ("libdpdk", "libhs", "yaml-cpp", "spdlog", "libsystemd")


def flags():
    out = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=True).stdout.split()
    return [word.replace("-I", "-isystem", 1) if word.startswith("-I") else word for word in out
            if not word.startswith("-march")]


def compile_alone(header, extra):
    done = subprocess.run(["g++", "-std=c++2b", "-march=x86-64-v3", "-O0", "-Wall", "-Wextra", "-fsyntax-only", f"-I{ROOT}",
                           *extra, "-x", "c++", "-"], input=f'#include "{header}"\n', capture_output=True, text=True)
    return None if done.returncode == 0 else f"{header}:\n{done.stderr[:600]}"


class Headers(unittest.TestCase):
    def test_each_header_compiles_alone(self):
        extra = flags()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            broken = [b for b in pool.map(lambda h: compile_alone(h, extra), files(".h")) if b]
        self.assertFalse(broken, "\n" + "\n".join(broken))


if __name__ == "__main__":
    unittest.main()
