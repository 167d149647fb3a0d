"""The entry point of the command line. Importing it does not import torch; the commands that need torch import it.

Exit codes: 0 done, 1 failed, 2 bad input, 130 interrupted, 143 terminated. An exception in the code of a plugin is
reported as one sentence too, with the place in that code. With GANFRAME_TRACEBACK=1 in the environment, its traceback
is printed instead.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

from rich.markup import escape

from ganframe.cli.app import app
from ganframe.cli.signals import SignalReceived, raise_on_signals
from ganframe.distributed.standard_streams import forgiving_streams, prepare_streams
from ganframe.distributed.terminal import Terminal, brief
from ganframe.errors import BadInput, Interrupted, RunFailed
from ganframe.plugins.author_code import describe_failure
from ganframe.plugins.discovery import installed

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Error numbers of failed writes. An OSError with one of them is reported without a traceback, even if it names no
file."""


def main() -> None:
    """Run the command line."""
    prepare_streams()
    try:
        with raise_on_signals():
            installed().add_commands(app)
            app()
    except (BadInput, RunFailed) as problem:
        if problem.__cause__ is not None and os.environ.get("GANFRAME_TRACEBACK") == "1":
            raise
        _exit_with_error(str(problem), problem.exit_code)
    except SignalReceived as received:
        _exit_with_error(str(received.problem), received.problem.exit_code)
    except KeyboardInterrupt:
        _exit_with_error("interrupted", Interrupted.exit_code)
    except Exception as problem:
        message = _os_error(problem) if isinstance(problem, OSError) else ""
        message = message or describe_failure(problem)
        if not message or os.environ.get("GANFRAME_TRACEBACK") == "1":
            raise
        _exit_with_error(message, RunFailed.exit_code)


def _os_error(problem: OSError) -> str:
    if problem.filename is None and problem.errno not in DISK_ERRORS:
        return ""
    return ": ".join(filter(None, (problem.filename, problem.strerror)))


def _exit_with_error(message: str, code: int) -> NoReturn:
    with forgiving_streams():
        Terminal(stderr=True, soft_wrap=True).print(f"[red]error:[/] {escape(brief(message))}")
    sys.exit(code)
