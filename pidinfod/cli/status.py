# SPDX-License-Identifier: Apache-2.0
"""The exit status of the command; --help and the README list it."""

OK, FAILED, USAGE, NO_PROCESS, DENIED = range(5)
INTERRUPTED = 130  # as shells show an end by SIGINT
