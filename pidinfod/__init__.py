# SPDX-License-Identifier: Apache-2.0
"""What is this PID, who signals, forks and reaps whom, and why did that process die."""

__version__ = "0.1.0"
DEFAULT_CONFIG = "/etc/pidinfod/config.yml"
