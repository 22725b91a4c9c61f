# SPDX-License-Identifier: Apache-2.0
"""What people type: the command's arguments, its questions and their answers as text."""
