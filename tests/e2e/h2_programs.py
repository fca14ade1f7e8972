"""HTTP/2 clients of other people, each asked the same way: a request out, status and body back."""

import json
import os
from dataclasses import dataclass, field

from ringway_lab import task
from ringway_lab.backend import pattern

NODE = os.path.join(os.path.dirname(os.path.abspath(task.__file__)), "node_h2.js")


@dataclass
class Told:
    status: int
    body: bytes = b""
    fields: dict = field(default_factory=dict)
    version: str = ""

    @property
    def json(self):
        return json.loads(self.body)


class Programs:
    """On the worker of a mesh. `post(url, count)`: the first `count` bytes of `pattern`, with content-length or without."""

    def __init__(self, mesh):
        self.mesh, self.dir = mesh, mesh.lab.dir
        self.out = os.path.join(self.dir, "out")

    def file(self, count):
        path = os.path.join(self.dir, f"pattern-{count}")
        if not os.path.exists(path):
            with open(path, "wb") as f:
                for piece in pattern(count):
                    f.write(piece)
        return path

    def came(self):
        with open(self.out, "rb") as f:
            return f.read()

    # ---- curl

    def curl(self, url, *words):
        head = os.path.join(self.dir, "head")
        done = self.mesh.curl("-o", self.out, "-D", head, "-w", "%{http_code} %{http_version}", *words, url)
        if done.returncode != 0:
            raise AssertionError(f"curl: {done.stderr}")
        with open(head, encoding="latin-1") as f:
            fields = {k.lower(): v.strip() for k, sep, v in (line.partition(":") for line in f) if sep}
        status, version = done.stdout.split()
        return Told(int(status), self.came(), fields, version)

    def curl_post(self, url, count, length, *words):
        if length:
            return self.curl(url, "--data-binary", f"@{self.file(count)}", "-H", "Expect:", *words)
        # From a pipe curl knows no length.
        script = (f'cat {self.file(count)} | curl -sS --noproxy "*" -m 30 -X POST -T - -H Expect: -o {self.out} '
                  '-w "%{http_code} %{http_version}" "$@"')
        done = self.mesh.client.run("sh", "-c", script, "sh", *words, url)
        if done.returncode != 0:
            raise AssertionError(f"curl: {done.stderr}")
        status, version = done.stdout.split()
        return Told(int(status), self.came(), {}, version)

    # ---- nghttp: says no status unless asked to talk, so the body has to tell

    def nghttp(self, url, *words):
        done = self.mesh.client.run("sh", "-c", f'exec nghttp -t 30 "$@" > {self.out}', "sh", *words, url)
        if done.returncode != 0 or done.stderr:
            raise AssertionError(f"nghttp: {done.returncode} {done.stderr}")
        return Told(200, self.came(), {}, "2")

    def nghttp_post(self, url, count, length):
        return self.nghttp(url, "-d", self.file(count), *([] if length else ["--no-content-length"]))

    def nghttp_talk(self, url, *words):
        """What nghttp -v says of all frames."""
        return self.mesh.client.run("nghttp", "-nv", "-t", "30", *words, url).stdout

    # ---- Node

    def node(self, url, method="GET", count="", trailer=""):
        """(told by node_h2.js, with the body's text)"""
        done = self.mesh.client.run("node", NODE, "ask", url, method, count, trailer)
        if done.returncode != 0:
            raise AssertionError(f"node: {done.stdout} {done.stderr}")
        return json.loads(done.stdout)
