"""Who has which address in a mesh, in either family."""

GATEWAY_IP = {4: "10.77.0.1", 6: "fd77::1"}
WORKER_IP = {4: "10.77.0.10", 6: "fd77::10"}
PREFIX_BITS = {4: 16, 6: 64}
VIP_RANGE = {4: "10.78.0.0/24", 6: "fd78::/112"}


def vip(family, number):
    """Address of the `number`th service; numbers from 50 on are free for listeners."""
    return f"10.78.0.{number}" if family == 4 else f"fd78::{number}"


def authority(ip, port):
    """As it stands in a URL and in what the gateway prints."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
