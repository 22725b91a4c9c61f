# SPDX-License-Identifier: Apache-2.0
"""What unit tests share."""

import pytest

from pidinfod.kernel import libbpf
from tests.support.kernel import Kernel


@pytest.fixture
def make_kernel(monkeypatch):
    """Puts maps without a kernel, of so many CPUs, in the place of libbpf."""
    made = []

    def make(cpus=1):
        kernel = Kernel(cpus)
        made.append(kernel)
        monkeypatch.setattr(libbpf, "library", lambda: kernel)
        monkeypatch.setattr(libbpf, "possible_cpus", lambda: cpus)
        return kernel

    yield make
    for kernel in made:
        kernel.close()


@pytest.fixture
def kernel(make_kernel):
    """One of three CPUs."""
    return make_kernel(3)
