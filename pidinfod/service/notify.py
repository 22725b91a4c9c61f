# SPDX-License-Identifier: Apache-2.0
"""sd_notify(3): telling systemd how the service is."""

from __future__ import annotations

import contextlib
import os
import socket

SECONDS = 1.0  # that a service manager may take; without it the service goes on


def notify(*assignments: str) -> None:
    """Send READY=1, STATUS=… to the service manager, if one asked for it and listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name in the abstract namespace
    message = "\n".join(assignments).encode(errors="backslashreplace")
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.settimeout(SECONDS)
        sock.sendto(message, address)
