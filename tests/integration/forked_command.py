"""Runs `custody` commands, each in a fork of this process: the modules are imported once, not for every command.

Reads one JSON object a line from the standard input (arguments, folder, environment, files for the three streams), and answers
each with the exit code. A fork shares nothing with the next one; only the start of the interpreter is saved.
"""

import json
import os
import sys
import traceback
from typing import Any, NoReturn

import custody.bootstrap.local  # noqa: F401 - what most commands import, once for all
from custody.cli.main import main


def become(asked: dict[str, Any]) -> None:
    """Turn this fork into the command."""
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        file = os.open(asked[name], os.O_RDONLY if number == 0 else os.O_WRONLY)
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, encoding="utf-8")
    sys.argv = ["custody", *asked["arguments"]]


def run() -> NoReturn:
    """Run the command and end this fork as the interpreter would, but for what other threads of the parent left locked."""
    code = 0
    try:
        main()
    except SystemExit as done:
        code = done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def serve() -> None:
    """Answer until the standard input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            become(asked)
            run()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
