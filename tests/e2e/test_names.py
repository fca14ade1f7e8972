"""The gateway's own DNS answers and its place on the wire: ARP and ICMP."""

import re
import socket
import struct

from lab_case import LabCase, vip

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


class Names(LabCase):
    def setUp(self):
        self.ringway_only()
        self.record = "A" if self.mesh.client_family == 4 else "AAAA"
        self.auth = self.mesh.service("auth-service")

    def dig(self, *words):
        return self.mesh.client.run("dig", "+tries=1", "+time=2", f"@{self.gateway.dns_ip}", *words).stdout

    def status(self, text):
        return re.search(r"status: (\w+)", text)[1]

    def test_name_of_an_alias_has_its_service_address(self):
        for service in self.mesh.services:
            self.assertEqual(self.dig("+short", service.name, self.record).strip(), service.vip)

    def test_answer_is_authoritative_with_the_configured_ttl(self):
        text = self.dig("auth-service", self.record)
        self.assertIn(" aa ", re.search(r"flags: ([\w ]+);", text)[0].replace(";", " "))
        self.assertRegex(text, rf"auth-service\.\s+5\s+IN\s+{self.record}\s+{re.escape(self.auth.vip)}")

    def test_letter_case_does_not_matter_and_is_echoed(self):
        text = self.dig("AuTh-SeRvIcE", self.record)
        self.assertIn(self.auth.vip, text)
        self.assertIn(";AuTh-SeRvIcE.", text)

    def test_unknown_name_below_a_zone_is_nxdomain(self):
        self.assertEqual(self.status(self.dig("nobody.internal")), "NXDOMAIN")

    def test_unknown_name_elsewhere_is_refused(self):
        self.assertEqual(self.status(self.dig("example.com")), "REFUSED")

    def test_other_types_of_a_known_name_are_nodata(self):
        for kind in ("TXT", "MX", *(() if self.mesh.has6 else ("AAAA",))):
            text = self.dig("auth-service", kind)
            self.assertEqual(self.status(text), "NOERROR")
            self.assertIn("ANSWER: 0", text)

    def test_edns_is_answered_with_edns(self):
        self.assertIn("EDNS: version: 0", self.dig("+edns=0", "auth-service"))
        self.assertNotIn("EDNS: version", self.dig("+noedns", "auth-service"))

    def test_unknown_edns_version_is_badvers(self):
        self.assertEqual(self.status(self.dig("+edns=1", "+noednsnegotiation", "auth-service")), "BADVERS")

    def query(self, data):
        with self.mesh.client.entered():
            sock = socket.socket(FAMILY[self.mesh.client_family], socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(0.5)
        sock.sendto(data, (self.gateway.dns_ip, 53))
        try:
            return sock.recv(4096)
        except TimeoutError:
            return b""

    def test_malformed_questions_get_formerr_or_silence_and_do_no_harm(self):
        header = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
        for tail in (b"", b"\x3f", b"\xc0\x0c\0\1\0\1", b"\x05auth", b"\x04auth\0\0", b"\0" * 400):
            answer = self.query(header + tail)
            self.assertTrue(not answer or answer[3] & 15 in (1, 5), answer)
        self.assertEqual(self.query(b"x"), b"")
        self.assertEqual(self.dig("+short", "auth-service", self.record).strip(), self.auth.vip)

    def test_answers_are_not_answered(self):
        self.assertEqual(self.query(struct.pack(">HHHHHH", 7, 0x8180, 1, 0, 0, 0) + b"\4auth\0\0\1\0\1"), b"")

    def test_ringwayctl_hosts_prints_lines_for_etc_hosts(self):
        lines = [line.split() for line in self.gateway.ctl("hosts").splitlines() if line and line[0] != "#"]
        for service in self.mesh.services:
            self.assertTrue(any(line[0] == service.vip and service.name in line[1:] for line in lines), lines)


class Wire(LabCase):
    def ping(self, address, *words):
        return self.mesh.client.run("ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", *words, address)

    def test_ping_of_every_address_is_answered(self):
        for address in (self.mesh.gateway_ip, *[s.vip for s in self.mesh.services]):
            done = self.ping(address)
            self.assertIn(" 0% packet loss", done.stdout, done.stdout)

    def test_ping_of_many_sizes_is_answered_with_the_same_bytes(self):
        for size in (0, 1, 56, 1000, 1472 if self.mesh.client_family == 4 else 1452):
            done = self.ping(self.mesh.gateway_ip, "-s", str(size), "-M", "do")
            self.assertIn(" 0% packet loss", done.stdout, done.stdout)
            self.assertNotIn("wrong data", done.stdout)

    def test_address_of_nobody_is_not_answered(self):
        self.ringway_only()
        self.assertIn("100% packet loss", self.ping(vip(self.mesh.client_family, 99)).stdout)

    def test_gateway_answers_arp_or_solicitations_after_the_client_forgot(self):
        self.mesh.client.ip(f"-{self.mesh.client_family}", "neigh", "flush", "all")
        self.assertIn(" 0% packet loss", self.ping(self.mesh.gateway_ip).stdout)

    def test_udp_to_a_port_of_nobody_is_port_unreachable(self):
        with self.mesh.client.entered():
            sock = socket.socket(FAMILY[self.mesh.client_family], socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.connect((self.mesh.gateway_ip, 9))
        sock.settimeout(1)
        sock.send(b"x")
        with self.assertRaises(ConnectionRefusedError):
            sock.recv(10)
