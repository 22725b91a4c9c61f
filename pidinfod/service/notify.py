# SPDX-License-Identifier: Apache-2.0
"""sd_notify(3): telling systemd how the service is."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> None:
    """Send READY=1, STATUS=… to the service manager, if one asked for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto("\n".join(assignments).encode(), address.replace("@", "\0", 1))
