"""Shut the network: with this folder on PYTHONPATH a Python process reaches nothing but the machine that it runs on.

Python imports a module of this name when it starts. A kernel still talks to its client: that goes over loopback.
"""

import ipaddress
import socket
from typing import Any

REASON = "lessons run without a network, but this asked for {!r}"
_lookup, _socket = socket.getaddrinfo, socket.socket


def local(host: Any) -> bool:
    """Return whether a host is this machine: nothing, a loopback address, or its name."""
    host = host.decode() if isinstance(host, bytes) else host
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _let_through(connection: socket.socket, address: Any) -> None:
    if connection.family in (socket.AF_INET, socket.AF_INET6) and not local(address[0]):
        raise PermissionError(REASON.format(address[0]))


def _getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    if not local(host):
        raise PermissionError(REASON.format(host))
    return _lookup(host, *args, **kwargs)


class _Socket(_socket):
    def connect(self, address: Any) -> None:
        _let_through(self, address)
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        _let_through(self, address)
        return super().connect_ex(address)

    def sendto(self, data: Any, *where: Any) -> int:
        _let_through(self, where[-1])
        return super().sendto(data, *where)


def _by_name(name: str) -> str:
    if not local(name):
        raise PermissionError(REASON.format(name))
    return "127.0.0.1"


socket.socket = _Socket  # type: ignore[misc]
socket.getaddrinfo = _getaddrinfo
socket.gethostbyname = _by_name
