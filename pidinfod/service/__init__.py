# SPDX-License-Identifier: Apache-2.0
"""The daemon: what it is told, what it serves, and the rights that it keeps."""
