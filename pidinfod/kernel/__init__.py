# SPDX-License-Identifier: Apache-2.0
"""What is asked of the kernel: BPF by bcc and libbpf, its types, its own calls."""
