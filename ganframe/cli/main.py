"""The command line. Torch is imported by commands only.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import errno
import sys
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from ganframe.cli.app import app
from ganframe.cli.signals import Signalled, signals_raise
from ganframe.errors import BadInput, Interrupted, RunFailed
from ganframe.plugins.discovery import installed

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a write can end with without the name of its file."""


def main() -> None:
    """Run the command line."""
    try:
        with signals_raise():
            installed().add_commands(app)
            app()
    except (BadInput, RunFailed) as problem:
        _fail(str(problem), problem.exit_code)
    except Signalled as signalled:
        _fail(str(signalled.problem), signalled.problem.exit_code)
    except OSError as problem:
        if problem.filename is None and problem.errno not in DISK_ERRORS:
            raise
        _fail(": ".join(filter(None, (problem.filename, problem.strerror))), RunFailed.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", Interrupted.exit_code)


def _fail(message: str, code: int) -> NoReturn:
    Console(stderr=True, highlight=False, emoji=False, soft_wrap=True).print(f"[red]error:[/] {escape(message)}")
    sys.exit(code)
