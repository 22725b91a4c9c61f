# SPDX-License-Identifier: Apache-2.0
"""Groups of processes: the rules, and where each process is placed."""
