# SPDX-License-Identifier: Apache-2.0
"""Deaths: the record of each, and the sentence that explains it."""
