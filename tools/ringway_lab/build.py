"""Meson build trees of the project: build (release), build-asan, build-tsan, build-fuzz."""

import os
import subprocess

from .gateway import ROOT
from .net import LabError

PROGRAMS = ["src/app/ringway", "tools/ringwayctl/ringwayctl"]  # as ninja names them
ROUGH_PROGRAMS = ["tools/impair/impair", "tests/e2e/attack"]  # bad wires and bad peers of the end-to-end tests

# A sanitizer's own work is the larger part of a build at -O2: -O1 with line numbers only compiles three times as fast.
# g++ 12 warns of std::regex there (maybe-uninitialized), so warnings are errors in the release build alone.
LIGHT = ["--buildtype=plain", "-Doptimization=1", "-Dcpp_args=-g1", "-Dwerror=false"]

FLAVOURS = {
    "build": ["--buildtype=release"],
    "build-asan": [*LIGHT, "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "build-tsan": [*LIGHT, "-Db_sanitize=thread", "-Db_lundef=false"],
    "build-fuzz": ["--buildtype=debugoptimized", "-Db_lundef=false", "-Dfuzz=true", "-Dwerror=false"],
}


def run_logged(words, log_path, env=None, timeout=None):
    """Runs in the project's root with all output in a file; returns the exit status (124: out of time)."""
    with open(log_path, "ab") as log:
        log.write(f"\n$ {' '.join(words)}\n".encode())
        log.flush()
        try:
            return subprocess.run(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  env={**os.environ, **(env or {})}, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            log.write(b"\nout of time\n")
            return 124


def tail(path, lines=25):
    with open(path, errors="replace") as f:
        return "".join(f.readlines()[-lines:])


def configure(tree, log_path=None, options=()):
    """Sets `tree` up when it is new; returns its folder."""
    folder = os.path.join(ROOT, tree)
    os.makedirs(folder, exist_ok=True)
    log_path = log_path or os.path.join(folder, "lab-build.log")
    env = {"CC": "clang", "CXX": "clang++"} if tree == "build-fuzz" else {}
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        if run_logged(["meson", "setup", folder, *FLAVOURS[tree], *options], log_path, env) != 0:
            raise LabError(f"meson setup failed ({log_path}):\n{tail(log_path)}")
    return folder


def build(tree, targets=(), log_path=None):
    """Builds `targets` (all of them when none is named); returns the tree's folder."""
    folder = configure(tree, log_path)
    log_path = log_path or os.path.join(folder, "lab-build.log")
    if run_logged(["ninja", "-C", folder, *targets], log_path) != 0:
        raise LabError(f"the build failed ({log_path}):\n{tail(log_path)}")
    return folder
