# SPDX-License-Identifier: Apache-2.0
"""What tests share: a scrape, a daemon, the lab, and the machine that a test runs on."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
