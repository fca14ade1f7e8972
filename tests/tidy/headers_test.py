#!/usr/bin/python3
"""Every header compiles alone: each is the only include of an empty file, with the compiler's syntax pass.

A source that begins with a header shows the same of it, so the headers that the sources of a finished build begin with
are not compiled again. RINGWAY_BUILD names that build; without it every header is compiled.
"""

import concurrent.futures
import json
import os
import re
import subprocess
import unittest

from tree import ROOT, files, text

PACKAGES = ("libdpdk", "libhs", "yaml-cpp", "spdlog", "libsystemd")


def flags():
    out = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True, check=True).stdout.split()
    return [word.replace("-I", "-isystem", 1) if word.startswith("-I") else word for word in out
            if not word.startswith("-march")]


def compile_alone(header, extra):
    done = subprocess.run(["g++", "-std=c++2b", "-march=x86-64-v3", "-O0", "-Wall", "-Wextra", "-fsyntax-only", f"-I{ROOT}",
                           *extra, "-x", "c++", "-"], input=f'#include "{header}"\n', capture_output=True, text=True)
    return None if done.returncode == 0 else f"{header}:\n{done.stderr[:600]}"


def shown_by_a_build(folder, headers):
    """Headers that a source of this build begins with, whose object is newer than the source and every header."""
    commands = os.path.join(folder, "compile_commands.json")
    if not folder or not os.path.exists(commands):
        return set()
    newest = max(os.path.getmtime(os.path.join(ROOT, header)) for header in headers)
    shown = set()
    with open(commands) as f:
        for unit in json.load(f):
            source, made = (os.path.normpath(os.path.join(unit["directory"], unit[k])) for k in ("file", "output"))
            name = os.path.relpath(source, ROOT)
            if name.startswith("..") or source.startswith(folder) or not os.path.exists(made):
                continue
            first = re.search(r'^#include "([^"]+)"|^#', text(name), re.M)
            if first and first[1] and os.path.getmtime(made) > max(newest, os.path.getmtime(source)):
                shown.add(first[1])
    return shown


class Headers(unittest.TestCase):
    def test_each_header_compiles_alone(self):
        extra, headers = flags(), files(".h")
        left = sorted(set(headers) - shown_by_a_build(os.environ.get("RINGWAY_BUILD", ""), headers))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            broken = [b for b in pool.map(lambda h: compile_alone(h, extra), left) if b]
        self.assertFalse(broken, "\n" + "\n".join(broken))


if __name__ == "__main__":
    unittest.main()
