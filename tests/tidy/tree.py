"""The project's files as the tidy tests see them: everything but build trees and what git keeps for itself."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = re.compile(r"^(\.git|\.cache|__pycache__|build.*)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def files(*endings, under=""):
    """Paths from the root whose names end so; corpora of the fuzzers are not ours to read."""
    found = []
    for folder, folders, names in os.walk(os.path.join(ROOT, under)):
        folders[:] = sorted(f for f in folders if not SKIPPED.match(f) and f != "corpus")
        for name in sorted(names):
            if not endings or name.endswith(endings):
                found.append(os.path.relpath(os.path.join(folder, name), ROOT))
    return found


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def includes(path):
    """(angle or quote, name) of each include line."""
    return INCLUDE.findall(text(path))
