# SPDX-License-Identifier: Apache-2.0
"""Metric families: what the kernel counts, how it is read and shown."""
