"""What the processes below one listen on, as the kernel sees it."""

import ipaddress
import os
from pathlib import Path

LISTEN = "0A"


def descendants(pid: int) -> set[int]:
    """A process and all below it, that still live."""
    parent = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
    found, more = {pid}, True
    while more:
        below = {child for child, of in parent.items() if of in found} - found
        found, more = found | below, bool(below)
    return found


def listening_addresses(pid: int) -> set[str]:
    """The IP addresses on which a process or any below it accepts connections."""
    inodes = set()
    for process in descendants(pid):
        try:
            for descriptor in Path(f"/proc/{process}/fd").iterdir():
                target = os.readlink(descriptor)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        except OSError:
            continue
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in inodes:
                addresses.add(_address(fields[1].partition(":")[0]))
    return addresses


def _address(words: str) -> str:
    """The kernel writes an address in hexadecimal words of 32 bits, each in the CPU's order."""
    octets = b"".join(bytes.fromhex(words[i : i + 8])[::-1] for i in range(0, len(words), 8))
    address = ipaddress.ip_address(octets)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
