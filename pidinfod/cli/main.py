# SPDX-License-Identifier: Apache-2.0
"""The command: the daemon, or one question."""

from __future__ import annotations

import argparse
import errno
import sys
from dataclasses import replace
from pathlib import Path

from pidinfod import DEFAULT_CONFIG, __version__
from pidinfod.cli import status, text

# Why a file takes no more of what is written to it.
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pidinfod",
        description="Processes, signals, forks and exits of this host as Prometheus metrics; "
        "with --once, what one PID is.",
        usage="%(prog)s [options]\n       %(prog)s --once PID [--format text|json]\n"
        "       %(prog)s --check\n       %(prog)s deaths [--help]",
        epilog="Exit status: 0 done, 1 failed, 2 wrong usage or configuration, "
        "3 no such process, 4 not permitted, 130 interrupted (SIGINT).",
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
    text.prepare_output()
    try:
        done = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:
        text.drop_output()
        return status.OK
    except OSError as error:
        if error.errno not in _NOT_WRITTEN:
            raise
        text.drop_output()
        text.complain(sys.stderr, f"pidinfod: the answer cannot be written: {error.strerror}")
        return status.FAILED
    except KeyboardInterrupt:
        return status.INTERRUPTED
    return done


def run(argv: list[str]) -> int:
    """Do what the arguments say. Raises BrokenPipeError when stdout's reader has left."""
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
        text.complain_of_each(sys.stderr, error)
        return status.USAGE
    except ValueError as error:
        text.complain_of_each(sys.stderr, error, "pidinfod: --listen: ")
        return status.USAGE
    if args.check_config:
        path = args.config or Path(DEFAULT_CONFIG)
        shown = text.printable(str(path))
        print(f"{shown}: good" if path.exists() else f"no {shown}, so the defaults: good")
        return status.OK
    if args.check:
        from pidinfod.cli import check

        return check.main(config, sys.stdout, sys.stderr)

    from pidinfod.service import daemon

    return daemon.run(config, args.procfs_only)
