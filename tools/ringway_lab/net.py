"""Namespaces, veth pairs and processes of one lab, and their removal.

Everything is named `rw-<pid>-...` after the process that made it, so that labs run side by side and leftovers of a
crashed one can be told from a living one. A lab is a context manager: leaving it, by the end, an exception, Ctrl-C or
SIGTERM, ends the processes that it started, then deletes its namespaces and files. Children also die with their parent
(PR_SET_PDEATHSIG), so a killed lab leaves namespaces at most; `tools/lab clean` removes those.

Start children from the main thread: the kernel ties PR_SET_PDEATHSIG to the thread that forked.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
NETNS_DIR = "/var/run/netns/"
RESOLVER_DIR = "/etc/netns/"


class LabError(Exception):
    """A sentence for the user: what failed, and what to do."""


def need_root():
    if os.geteuid() != 0:
        program = os.path.basename(sys.argv[0])
        sys.exit(f"{program}: needs root, because it makes network namespaces. Run: sudo tools/{program}")


def _call(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise LabError(f"`{' '.join(words)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _child_setup(cpu):
    def setup():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
    return setup


class Process:
    """A child of the lab. `stop` is polite first; `kill` is not."""

    def __init__(self, popen, title, log_path):
        self.popen, self.title, self.log_path = popen, title, log_path

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, seconds):
        """Exit status, or None when it still runs after `seconds`."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, seconds=3):
        self.signal(signal.SIGTERM)
        if self.wait(seconds) is None:
            self.kill()
        return self.popen.returncode

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait()

    def log(self, lines=20):
        with open(self.log_path, errors="replace") as f:
            return "".join(f.readlines()[-lines:])


class Namespace:
    def __init__(self, lab, short):
        self.lab, self.short, self.name = lab, short, lab.prefix + short
        self.resolver_dir = RESOLVER_DIR + self.name

    def ip(self, *words):
        return _call("ip", "-n", self.name, *words)

    def command(self, *words):
        return ["ip", "netns", "exec", self.name, *[str(w) for w in words]]

    def run(self, *words, timeout=60, check=False, input=None):
        """Runs to its end; `.stdout`, `.stderr` are text."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout, input=input,
                              errors="replace", preexec_fn=_child_setup(None))
        if check and done.returncode != 0:
            raise LabError(f"`{' '.join(map(str, words))}` in {self.short} failed: {(done.stderr or done.stdout).strip()}")
        return done

    def start(self, *words, title=None, cpu=None, env=None, stdout=None):
        """Starts a process that lives until it is stopped or the lab ends; its output goes to a log file, unless
        `stdout` says otherwise."""
        return self.lab.start(self.command(*words), title or str(words[0]), cpu, env, stdout)

    @contextlib.contextmanager
    def entered(self):
        """This thread's new sockets belong to the namespace meanwhile."""
        with open("/proc/thread-self/ns/net") as home, open(NETNS_DIR + self.name) as there:
            if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise LabError(f"cannot enter {self.name}: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                LIBC.setns(home.fileno(), CLONE_NEWNET)

    def connect(self, ip, port, timeout=5):
        with self.entered():
            sock = socket.create_connection((ip, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def set_resolver(self, nameserver=None, hosts=None):
        """Names for programs started here: a nameserver's address, or a dict of host names to addresses."""
        os.makedirs(self.resolver_dir, exist_ok=True)
        with open(self.resolver_dir + "/resolv.conf", "w") as f:
            f.write(f"nameserver {nameserver}\noptions timeout:1 attempts:3\n" if nameserver else "")
        with open(self.resolver_dir + "/hosts", "w") as f:
            f.write("127.0.0.1 localhost\n" + "".join(f"{ip} {name}\n" for name, ip in (hosts or {}).items()))

    def enable_ip6(self):
        """Static addresses only: no router is waited for, no address checked for others who might have it, and none lost
        when a cable is pulled."""
        for key, value in (("accept_ra", 0), ("accept_dad", 0), ("dad_transmits", 0), ("router_solicitations", 0),
                           ("keep_addr_on_down", 1), ("disable_ipv6", 0)):
            for interface in ("all", "default", "eth0"):
                _call(*self.command("sysctl", "-qw", f"net.ipv6.conf.{interface}.{key}={value}"), check=False)

    def delete(self):
        for pid in _call("ip", "netns", "pids", self.name, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _call("ip", "netns", "delete", self.name, check=False)
        shutil.rmtree(self.resolver_dir, ignore_errors=True)


def settle_interface(namespace, interface):
    """Up, with whole checksums and no giant packets: a poll-mode port at the far end sees frames as they are sent."""
    _call("ip", "netns", "exec", namespace.name, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off",
          "gro", "off")
    namespace.ip("link", "set", interface, "up")


# What a namespace has of its own, whatever the machine is set to.
SYSCTLS = (
    "net.core.txrehash=0",  # a retransmission keeps its transmit queue: veth does not move the flow to another receive queue
    "net.ipv6.conf.all.disable_ipv6=1",
    "net.ipv6.conf.default.disable_ipv6=1",
    "net.bridge.bridge-nf-call-iptables=0",  # the switch is a wire; there only where br_netfilter is loaded
)


class Lab:
    """All that one run makes. Use as `with Lab() as lab:`."""

    def __init__(self, keep=False):
        self.prefix = f"rw-{os.getpid()}-"
        self.namespaces, self.processes, self.cleanups, self._old = {}, [], [], {}
        self.keep = keep
        self.dir = None

    def __enter__(self):
        need_root()
        self.dir = tempfile.mkdtemp(prefix=self.prefix)
        os.chmod(self.dir, 0o755)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._old[number] = signal.signal(number, lambda *_: sys.exit(1))
        # A shell starts background jobs with SIGINT ignored; ours must still end by it.
        self._old[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not stop the cleaning.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in reversed(self.processes):
            if process.running():
                process.signal(signal.SIGTERM)
        deadline = time.monotonic() + 2
        for process in reversed(self.processes):
            if process.wait(max(0.0, deadline - time.monotonic())) is None:
                process.kill()
        for namespace in self.namespaces.values():
            namespace.delete()
        for path in self.cleanups:
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def namespace(self, short):
        made = Namespace(self, short)
        _call("ip", "netns", "add", made.name)
        self.namespaces[short] = made
        made.ip("link", "set", "lo", "up")
        _call("ip", "netns", "exec", made.name, "sysctl", "-qw", *SYSCTLS, check=False)
        return made

    def veth(self, left, left_name, right, right_name, queues=1):
        """A pair of interfaces, one in each namespace, with `queues` queues each way."""
        many = ["numrxqueues", str(queues), "numtxqueues", str(queues)]
        _call("ip", "link", "add", left_name, "netns", left.name, *many, "type", "veth",
              "peer", "name", right_name, "netns", right.name, *many)
        settle_interface(left, left_name)
        settle_interface(right, right_name)

    def start(self, command, title, cpu=None, env=None, stdout=None):
        log_path = os.path.join(self.dir, f"{len(self.processes):03}-{title.rsplit('/', 1)[-1]}.log")
        with open(log_path, "wb") as log:
            popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout or log, stderr=log,
                                     start_new_session=True, preexec_fn=_child_setup(cpu),
                                     env={**os.environ, **(env or {})})
        process = Process(popen, title, log_path)
        self.processes.append(process)
        return process


def wait_until(condition, seconds, every=0.02):
    """True as soon as `condition()` is; False when it never was within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(every)


def clean_leftovers():
    """Removes what labs left behind whose process is gone. Returns the names."""
    gone = []
    ours = re.compile(r"rw-(\d+)-")
    names = os.listdir(NETNS_DIR) if os.path.isdir(NETNS_DIR) else []
    folders = os.listdir(tempfile.gettempdir())
    resolvers = os.listdir(RESOLVER_DIR) if os.path.isdir(RESOLVER_DIR) else []

    def dead(name):
        match = ours.match(name)
        return match and not os.path.exists(f"/proc/{match[1]}")

    class Left:
        prefix = ""
    for name in filter(dead, names):
        Namespace(Left, name).delete()
        gone.append(name)
    for folder, root in [(f, tempfile.gettempdir()) for f in folders] + [(r, RESOLVER_DIR) for r in resolvers]:
        if dead(folder):
            shutil.rmtree(os.path.join(root, folder), ignore_errors=True)
            gone.append(folder)
    return sorted(set(gone))
