"""How the sockets of this very process are set."""

import os
import socket

import psutil


def waits_to_fill_packets(port: int, *, ours: bool = False) -> list[bool]:
    """Of each open connection to that port (with `ours` from it) whether small writes wait for an acknowledgement
    (Nagle, RFC 896), which with a delayed one (RFC 1122 §4.2.3.2) takes 40 ms."""
    found = []
    for one in psutil.Process().net_connections("tcp"):
        end = one.laddr if ours else one.raddr
        if one.status == psutil.CONN_ESTABLISHED and end and end.port == port:
            with socket.socket(fileno=os.dup(one.fd)) as same:
                found.append(not same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
    return found
