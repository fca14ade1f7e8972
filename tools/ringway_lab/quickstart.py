"""Builds Ringway, lays out the Service Connect example in network namespaces, and shows it at work.

Takes about a minute once the packages are there and the program is built. Everything it makes (namespaces, processes,
files under /tmp) is gone when it ends, also after Ctrl-C or a failure; --keep waits for Ctrl-C first.
"""

import argparse
import os
import signal
import sys
import time
from collections import Counter

from .build import PROGRAMS, build
from .load import HttpClient, Load
from .mesh import Mesh, example
from .net import Lab, LabError


def say(text=""):
    print(text, flush=True)


def step(number, text):
    say(f"\n{number}. {text}")


def lay_out(lab, kind):
    mesh = Mesh(lab, example(), kind)
    say("   worker 10.77.0.10 -- switch -- gateway 10.77.0.1 (one port, AF_XDP over veth)" if kind == "ringway" else
        f"   worker 10.77.0.10 -- switch -- {kind} 10.77.0.1")
    mesh.start()
    for service in mesh.services:
        say(f"   {service.name + ':' + str(service.port):27} {service.vip}  ->  "
            + ", ".join(f"{t.name} {t.ip}:{t.port}" for t in service.members))
    return mesh


def by_name(mesh):
    for service in mesh.services:
        url = f"http://{service.name}:{service.port}/validate"
        done = mesh.curl("-w", "   %{http_code} in %{time_total}s (looked up in %{time_namelookup}s)", url)
        if done.returncode != 0:
            raise LabError(f"curl {url}: {done.stderr.strip()}")
        say(f"   $ curl {url}")
        say(f"     {done.stdout.strip()}")


def spread(mesh, count=200):
    for service in mesh.services:
        names = Counter()
        for _ in range(count):
            client = HttpClient(mesh.connect(service.name))
            names[client.get(service.name, "/")[1].get("x-backend")] += 1
            client.sock.close()
        say(f"   {service.name:21} " + "  ".join(f"{name} {names[name]}" for name in sorted(names)))


def out_of_rotation(mesh, task):
    """Whether the gateway itself says that it sends nothing to the task; None when it cannot be asked."""
    if mesh.gateway.kind != "ringway":
        return None
    return not mesh.gateway.endpoint_healthy(task)


def kill_under_load(mesh, seconds):
    auth = mesh.service("auth-service")
    dead = auth.members[0]
    with Load(mesh.client, auth.vip, auth.port, auth.name, "/validate", connections=16) as load:
        time.sleep(seconds)
        before = load.tally().good
        killed = time.monotonic()
        dead.kill()
        say(f"   killed {dead.name} after {before} answered requests")
        noticed = None
        while time.monotonic() - killed < seconds + 2:
            if noticed is None and out_of_rotation(mesh, dead):
                noticed = time.monotonic() - killed
            time.sleep(0.01)
        tally = load.stop()
    last = max((f.at for f in tally.failures), default=None)
    if noticed is not None:
        say(f"   marked unhealthy {noticed * 1000:.0f} ms after its death")
    say(f"   its last answer came {max(0.0, tally.last_by_name.get(dead.name, killed) - killed) * 1000:.0f} ms after its death")
    say(f"   {tally.sent} requests sent, {tally.good} answered 200, {len(tally.failures)} failed"
        + (f", the last {(last - killed) * 1000:.0f} ms after the death" if last else ""))
    for what, count in Counter(f.what for f in tally.failures).most_common(4):
        say(f"     {count} x {what}")
    say("   answered by: " + "  ".join(f"{name} {n}" for name, n in sorted(tally.by_name.items())))
    dead.start()
    revived = time.monotonic()
    while time.monotonic() - revived < 15:
        client = HttpClient(mesh.connect(auth.name))
        answered = client.get(auth.name, "/")[1].get("x-backend")
        client.sock.close()
        if answered == dead.name:
            say(f"   started {dead.name} again: it answers {time.monotonic() - revived:.1f} s later")
            return
    say(f"   started {dead.name} again: it has not answered within 15 s")


def show_ctl(mesh):
    if mesh.gateway.kind == "ringway":
        for words in (["endpoints"], ["explain", "GET", f"http://{mesh.services[1].name}:{mesh.services[1].port}/validate"]):
            say(f"   $ ringwayctl {' '.join(words)}")
            say("".join(f"     {line}\n" for line in mesh.gateway.ctl(*words).splitlines()).rstrip())


def hold(mesh):
    auth = mesh.services[1]
    say("\nThe lab stays until Ctrl-C. Try in another terminal:")
    say(f"   sudo ip netns exec {mesh.client.name} curl -v http://{auth.name}:{auth.port}/validate")
    if mesh.gateway.kind == "ringway":
        say(f"   sudo ip netns exec {mesh.client.name} dig @{mesh.gateway.dns_ip} {auth.name}")
        say(f"   sudo {mesh.gateway.program('ringwayctl')} --socket {mesh.gateway.path('admin.sock')} status")
    say(f"   sudo ip netns exec {mesh.client.name} wrk -c 32 -d 5 --latency http://{auth.name}:{auth.port}/bytes/1024")
    say(f"   the configuration: {mesh.gateway.dir}")
    signal.pause()


def main():
    parser = argparse.ArgumentParser(prog="tools/quickstart", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the lab up until Ctrl-C and say what to try")
    parser.add_argument("--seconds", type=int, default=4, help="of load before and after the kill (default 4)")
    parser.add_argument("--gateway", default="ringway", choices=["ringway", "haproxy", "nginx"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("quickstart: needs root (network namespaces, AF_XDP sockets). Run: sudo tools/quickstart")
    started = time.monotonic()

    try:
        if args.gateway == "ringway" and "RINGWAY_BUILD" not in os.environ:
            step(1, "Release build in build/ (a few minutes the first time)")
            build("build", PROGRAMS)
        with Lab() as lab:
            step(2, "The lab: one namespace each for worker, gateway, switch and five tasks")
            mesh = lay_out(lab, args.gateway)
            step(3, "The worker calls services by name")
            by_name(mesh)
            step(4, "200 connections to each service: who answers")
            spread(mesh)
            step(5, "A task dies under load")
            kill_under_load(mesh, args.seconds)
            if args.gateway == "ringway":
                step(6, "What the gateway says about itself")
                show_ctl(mesh)
            say(f"\nDone in {time.monotonic() - started:.0f} s.")
            if args.keep:
                hold(mesh)
        say("Everything is cleaned up.")
    except LabError as e:
        sys.exit(f"quickstart: {e}")
    except KeyboardInterrupt:
        sys.exit("\nquickstart: stopped; everything is cleaned up.")


if __name__ == "__main__":
    main()
