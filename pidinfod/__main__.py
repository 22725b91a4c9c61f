# SPDX-License-Identifier: Apache-2.0
"""`python3 -m pidinfod`."""

import sys

from pidinfod.cli import main

sys.exit(main())
