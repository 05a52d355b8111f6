"""A network with nothing but a loopback interface, for peers that would speak on every one."""

import ctypes
import fcntl
import os
import socket
import struct

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCSIFFLAGS = 0x8914
_UP, _RUNNING, _MULTICAST = 0x1, 0x40, 0x1000


def enter() -> None:
    """Move this process, which has one thread yet, and its children to a network of their own.

    Raises:
        PermissionError: If the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    alone = _CLONE_NEWNET if os.geteuid() == 0 else _CLONE_NEWNET | _CLONE_NEWUSER
    if libc.unshare(alone):
        raise PermissionError(ctypes.get_errno(), "no network of its own for this process")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = struct.pack("16sh14x", b"lo", _UP | _RUNNING | _MULTICAST)
        fcntl.ioctl(control, _SIOCSIFFLAGS, flags)
