"""Meson build trees of the project: build (release), build-asan, build-tsan, build-fuzz."""

import contextlib
import os
import signal
import subprocess
import threading

from .gateway import ROOT
from .net import LabError

PROGRAMS = ["src/app/ringway", "tools/ringwayctl/ringwayctl"]  # as ninja names them
ROUGH_PROGRAMS = ["tools/impair/impair", "tests/e2e/attack"]  # bad wires and bad peers of the end-to-end tests

# A sanitizer's own work is the larger part of a build at -O2: -O1 with line numbers only compiles three times as fast.
# g++ 12 warns of std::regex there (maybe-uninitialized), so warnings are errors in the release build alone.
LIGHT = ["--buildtype=plain", "-Doptimization=1", "-Dwerror=false"]

FLAVOURS = {
    "build": ["--buildtype=release"],
    # vptr asks for type information, which the dataplane is built without.
    "build-asan": [*LIGHT, "-Dcpp_args=-g1 -fno-sanitize=vptr", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
    "build-tsan": [*LIGHT, "-Dcpp_args=-g1", "-Db_sanitize=thread", "-Db_lundef=false"],
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


class Ahead:
    """Builds trees one after the other while other things run, on what those leave of the cores: a build may wait, a
    test may not. Nothing is reported here: who needs a tree calls `join`, then `build`, which finds all
    done or fails as it would have without this.

    `targets(tree)` tells what ninja makes there."""

    def __init__(self, trees, targets):
        self.targets, self.done = targets, {tree: threading.Event() for tree in trees}
        self.lock, self.ninja, self.stopped = threading.Lock(), None, False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with self.lock:
            self.stopped = True
            if self.ninja:
                self.ninja.send_signal(signal.SIGTERM)  # ends its compilers, too
        self.thread.join()

    def run(self):
        for tree, done in self.done.items():
            with contextlib.suppress(Exception):
                if not self.stopped:
                    self.build(tree)
            done.set()

    def build(self, tree):
        log_path = os.path.join(ROOT, tree, "check.log")
        os.makedirs(os.path.dirname(log_path), exist_ok=True)
        folder = configure(tree, log_path)
        words = ["setpriv", "--pdeathsig", "TERM", "ninja", "-C", folder, *self.targets(tree)]
        with open(log_path, "ab") as log:
            with self.lock:
                if self.stopped:
                    return
                self.ninja = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                              start_new_session=True)
                self.yield_cores(19)
            self.ninja.wait()
            with self.lock:
                self.ninja = None

    def join(self, tree):
        """Returns when nobody builds `tree` any more; the build has its full share of the cores meanwhile."""
        while tree in self.done and not self.done[tree].wait(0.2):
            with self.lock:
                if self.ninja:
                    self.yield_cores(0)

    def yield_cores(self, nice):
        """The kernel weighs sessions first (sched_autogroup), where it does that, then the processes in one."""
        with contextlib.suppress(OSError), open(f"/proc/{self.ninja.pid}/autogroup", "w") as f:
            f.write(str(nice))
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            with contextlib.suppress(OSError):
                if os.getsid(pid) == self.ninja.pid:
                    os.setpriority(os.PRIO_PROCESS, pid, nice)


def build(tree, targets=(), log_path=None):
    """Builds `targets` (all of them when none is named); returns the tree's folder."""
    folder = configure(tree, log_path)
    log_path = log_path or os.path.join(folder, "lab-build.log")
    if run_logged(["ninja", "-C", folder, *targets], log_path) != 0:
        raise LabError(f"the build failed ({log_path}):\n{tail(log_path)}")
    return folder
