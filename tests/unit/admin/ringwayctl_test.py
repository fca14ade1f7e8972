"""ringwayctl against a gateway of fixed pages: exact outputs, exit statuses, sentences.

Usage: ringwayctl_test.py RINGWAYCTL FAKE_GATEWAY
"""
import json
import os
import subprocess
import sys
import tempfile

CTL, FAKE = sys.argv[1:3]
failures = 0


def check(what, got, want):
    global failures
    if got != want:
        failures += 1
        print(f"FAILED {what}\n--- got\n{got}\n--- want\n{want}")


class Gateway:
    def __init__(self, folder, *arguments):
        self.socket = os.path.join(folder, "admin.sock")
        self.process = subprocess.Popen([FAKE, self.socket, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def ctl(self, *words):
        done = subprocess.run([CTL, "--socket", self.socket, *words], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout, done.stderr

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


with tempfile.TemporaryDirectory() as folder:
    gateway = Gateway(folder)
    check("services", gateway.ctl("services"), (0, """\
SERVICE       LISTENS ON       HEALTHY  REQUESTS  ACTIVE    2XX  4XX  5XX  REFUSED  P50    P99
auth-service  10.80.64.1:4000  1/2         2,000       0  1,980    0   20       14  20 us  20 us
""", ""))
    check("endpoints", gateway.ctl("endpoints"), (0, """\
ENDPOINT                   HEALTH    ZONE  PRIORITY  WEIGHT  LABELS        REQUESTS  ACTIVE    2XX  5XX  CONNECTIONS  FAILURES  LAST CHECK  EJECTED  UNTIL
auth-service/10.0.0.11:80  healthy   a            0       1  track=canary     2,000       0  2,000    0            0         0           -        1  2023-11-14T22:13:50Z
auth-service/10.0.0.12:80  unproven  -            0       1  -                    0       0      0    0            0         0           -        0  -
""", ""))
    code, out, err = gateway.ctl("service", "auth-service")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    check("service", (code, err, [line for line in (
        "service auth-service, plan 7", "portName auth", "timeout.perRequestTimeoutSeconds 15", "healthCheck.protocol none",
        "outlierDetection.enabled yes", "outlierDetection.baseEjectionSeconds 30", "balancing.hash.on source", "drainSeconds 20",
        "balancing.boundFactor 2", "retry.on connect-failure, refused-stream, reset, retriable-status-codes, unavailable",
        "requests 2,000", "responses.5xx 20", "refused.denied 10", "refused.limited 4", "breakers.pending.remaining 1,024",
        "auth-service:4000 10.80.64.1:4000 default, acceptProxyProtocol from 10.80.0.0/24",
        'auth-service/10.0.0.11:80 healthy a 0 1 track=canary 2,000 0 2,000 0 0 0 - 1 2023-11-14T22:13:50Z') if line not in lines]), (0, "", []))
    check("service of no one", gateway.ctl("service", "nobody"), (1, "", "ringwayctl: there is no service nobody\n"))
    check("status", gateway.ctl("status"), (0, """\
Ringway 1.2.3, serving, ready, up 60 s, pid 42
configuration gw.yaml, plan 7: 1 services, 1 of 2 endpoints healthy
steering single: one core owns every flow

PORT       DRIVER    MAC                QUEUES   MTU  MULTI-SEGMENT
net_ring0  net_ring  02:00:00:00:00:01       2  1500  yes

CORE  BUSY %  PLAN  REQUESTS  CONNECTIONS  MBUFS
   0    25.0     7     1,000            0      0
   1     0.0     7     1,000            0      0
""", ""))
    check("connections", gateway.ctl("connections"), (0, """\
9 connections, 1 shown
CORE  CLIENT          LOCAL            CALLER  STAGE       SERVICE       ENDPOINT                   REQUESTS  IN       OUT  AGE     IDLE
   1  10.80.0.2:5555  10.80.64.1:4000  office  exchanging  auth-service  auth-service/10.0.0.11:80        12  2.0 KiB  0 B  61.0 s  0 us
""", ""))
    check("hosts", gateway.ctl("hosts"), (0, "10.80.64.1\tauth-service\n", ""))
    check("counters", gateway.ctl("counters"), (0, """\
COUNTER   COUNT
requests  2,000

VERDICT        COUNT
eth_truncated      4

PORT net_ring0   COUNT
rx_good_packets      5

CORE  POLLS  IDLE %  WORKING %  BACK-PRESSURED %
   0      0    75.0       25.0               0.0
   1      0     0.0        0.0               0.0
""", ""))
    check("explain", gateway.ctl("explain", "GET", "http://auth-service:4000/a?b=c", "--source", "10.0.0.9"), (0, """\
listener   auth-service:4000 (10.80.64.1:4000)
why        GET http://auth-service:4000/a?b=c 10.0.0.9
service    auth-service
policy     round robin
looked at  auth-service/10.0.0.11:80: taken
endpoint   auth-service/10.0.0.11:80
outcome    forwarded
""", ""))
    check("explain nowhere", gateway.ctl("explain", "GET", "http://nowhere/"),
          (1, "", "ringwayctl: nowhere is not a name of this gateway\n"))
    check("trace", gateway.ctl("trace"), (0, """\
TIME             CORE     CONN  EXCHANGE  EVENT           WHAT
22:13:20.001000  control     -         -  plan_published  plan 7
22:13:20.002000  1          12         5  routed          to service auth-service
22:13:20.002000  1          12         5  picked          endpoint auth-service/10.0.0.11:80, try 1, on pooled connection 9
22:13:20.003000  1          12         5  request_end     status 200 after 1000 us
22:13:20.003000  1           8         -  segment_in      ACK 0 bytes, seq 0 ack 0
""", ""))
    check("trace of a connection", gateway.ctl("trace", "--conn", "12", "--last", "1"), (0, """\
TIME             CORE  CONN  EXCHANGE  EVENT        WHAT
22:13:20.003000     1    12         5  request_end  status 200 after 1000 us
""", ""))
    check("trace of nothing", gateway.ctl("trace", "--core", "0"), (0, "nothing is recorded (off); ringwayctl record on\n", ""))
    check("trace of a file", gateway.ctl("trace", "--file", "/nowhere"),
          (1, "", "ringwayctl: /nowhere: cannot be opened: No such file or directory\n"))
    check("record", gateway.ctl("record", "on", "--mask", "requests,timers"), (0, "recording: timers,requests\n", ""))
    check("record all", gateway.ctl("record", "on"), (0, "recording: packets,segments,connections,timers,requests,planes\n", ""))
    check("record off", gateway.ctl("record", "off"), (0, "recording: off\n", ""))
    check("record what", gateway.ctl("record", "on", "--mask", "everything"),
          (1, "", "ringwayctl: groups= knows all, packets,segments,connections,timers,requests,planes\n"))
    check("reload", gateway.ctl("reload"), (0, "reloaded\n", "warning: gateway.cores takes effect at the next start\n"))
    check("drain endpoint", gateway.ctl("drain", "--endpoint", "auth-service/10.0.0.11:80"),
          (0, "auth-service/10.0.0.11:80 takes no new requests\n", ""))
    check("healthcheck fail", gateway.ctl("healthcheck", "fail"), (0, "the health endpoint answers 503\n", ""))
    check("healthcheck ok", gateway.ctl("healthcheck", "ok"), (0, "the health endpoint answers 200\n", ""))
    check("shift alarm of no one", gateway.ctl("shift", "nobody", "alarm", "--reason", "auth-5xx"),
          (1, "", "ringwayctl: service nobody has no deployment\n"))
    check("shift alarm", gateway.ctl("shift", "auth-service", "alarm", "--reason", "auth-5xx")[0], 0)
    check("drain nobody", gateway.ctl("drain", "--endpoint", "x"), (1, "", "ringwayctl: no endpoint x\n"))
    check("drain", gateway.ctl("drain"), (0, "draining\n", ""))
    code, out, _ = gateway.ctl("--json", "status")
    check("json", (code, json.loads(out)["plan_generation"]), (0, 7))
    gateway.stop()
    code, out, err = gateway.ctl("status")
    check("not running", (code, out, "is the gateway running" in err), (1, "", True))

    refusing = Gateway(folder, "refuse")
    check("refused reload", refusing.ctl("reload"), (1, "", 'gw.yaml:3:5: unknown key "x"\n'
          "ringwayctl: the new configuration is refused; the one before it stays in force\n"))
    check("healthcheck without an endpoint", refusing.ctl("healthcheck", "fail"),
          (0, "the gateway is not ready, but no load balancer can ask: there is no gateway.healthEndpoint\n", ""))
    refusing.stop()

sys.exit(1 if failures else 0)
