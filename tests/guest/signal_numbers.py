# SPDX-License-Identifier: Apache-2.0
"""ft_kill by 5,003 numbers that no signal has, positive, negative and large, as nobody."""

import ctypes
import errno
import os

NR_FT_KILL = 550
NUMBERS = [*range(65, 65 + 4001), *range(-1, -1 - 997, -1), 127, 128, 255, 256, 2**31 - 1]

if __name__ == "__main__":
    os.setuid(65534)
    libc = ctypes.CDLL(None, use_errno=True)
    for number in NUMBERS:
        assert libc.syscall(NR_FT_KILL, os.getpid(), ctypes.c_int(number)) == -1
        assert ctypes.get_errno() == errno.EINVAL, number
