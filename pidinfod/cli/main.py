# SPDX-License-Identifier: Apache-2.0
"""The command: the daemon, or one question."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from pidinfod import DEFAULT_CONFIG, __version__

EXIT_OK, EXIT_USAGE = 0, 2


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pidinfod",
        description="Processes, signals, forks and exits of this host as Prometheus metrics; "
        "with --once, what one PID is.",
        usage="%(prog)s [options]\n       %(prog)s --once PID [--format text|json]\n"
        "       %(prog)s --check\n       %(prog)s deaths [--help]",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage or configuration, "
        "3 no such process, 4 not permitted.",
    )
    parser.add_argument("--once", metavar="PID", help="print what this PID is, and exit")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="of --once (default: text)"
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"default: {DEFAULT_CONFIG}, if it exists"
    )
    parser.add_argument("--check-config", action="store_true", help="read it, say what is wrong")
    parser.add_argument(
        "--check",
        action="store_true",
        help="print each probe: attached or why not, and which metrics it feeds",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="default: 127.0.0.1:10548")
    parser.add_argument(
        "--procfs-only", action="store_true", help="attach no probes: process counts only"
    )
    parser.add_argument("--version", action="version", version=f"pidinfod {__version__}")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["deaths"]:
        from pidinfod.cli import deaths as client

        return client.main(argv[1:], sys.stdout, sys.stderr)
    args = parse_args(argv)
    if args.once is not None:
        # Neither bcc nor an HTTP server is imported for a question.
        from pidinfod.cli import once

        return once.main(args.once, args.format, args.config, sys.stdout, sys.stderr)

    import logging

    from pidinfod.service import config as configuration

    logging.basicConfig(level=logging.INFO, format="pidinfod: %(levelname)s: %(message)s")
    try:
        config = configuration.load(args.config)
        if args.listen:
            config = replace(config, listen=configuration.parse_listen(args.listen))
    except configuration.ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except ValueError as error:
        print(f"pidinfod: --listen: {error}", file=sys.stderr)
        return EXIT_USAGE
    if args.check_config:
        path = args.config or Path(DEFAULT_CONFIG)
        print(f"{path}: good" if path.exists() else f"no {path}, so the defaults: good")
        return EXIT_OK
    if args.check:
        from pidinfod.cli import check

        return check.main(config, sys.stdout, sys.stderr)

    from pidinfod.service import daemon

    return daemon.run(config, args.procfs_only)
