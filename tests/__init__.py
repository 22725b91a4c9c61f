# SPDX-License-Identifier: Apache-2.0
"""Tests; each folder's name says what its tests need (CONTRIBUTING.md)."""
