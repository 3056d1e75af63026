"""The entry of the `custody` command."""

import sys

import click

from custody import __version__
from custody.cli import data, house, live, models, privacy, watch
from custody.cli.frame import Nouns, fail

HELP = """custody: chain of custody for machine-learning models.

\b
Examples:
  custody init demo && custody up --project demo
  custody gate explain release@1 --format json

Commands work on the folder of --project (default: this one) or on the server of --url; both also come from
CUSTODY_PROJECT, CUSTODY_URL and CUSTODY_KEY.
"""


@click.group(
    cls=Nouns, help=HELP, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="custody")
@click.option("--project", "-C", envvar="CUSTODY_PROJECT", metavar="FOLDER", help="Project folder to work on.")
@click.option("--url", envvar="CUSTODY_URL", help="Server to work on, instead of a folder.")
@click.option("--key", envvar="CUSTODY_KEY", help="Key for the server.")
@click.option("--tenant", "--workspace", envvar="CUSTODY_TENANT", help="Tenant to work in; default: the key's own.")
@click.option("--format", type=click.Choice(["table", "text", "json", "csv", "quiet"]), help="How to print answers.")
def cli(**_: object) -> None:
    """Parse the options that every command shares."""


for module in (house, data, privacy, models, live, watch):
    module.add_to(cli)


def main() -> None:
    """Run a command and exit with 0, 1 for a refusal, or the code of the error."""
    from custody.core.errors import CustodyError, InvalidInput, NotFound

    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CustodyError as error:
        sys.exit(fail(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except UnicodeDecodeError:
        sys.exit(
            fail(
                InvalidInput(
                    "A file is not UTF-8 text.", why="It is binary, or written in another encoding.", fix="Save it as UTF-8."
                )
            )
        )
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(
            fail(NotFound(f"'{error.filename}' cannot be read or written.", why=f"{error.strerror}.", fix="Give another path."))
        )


if __name__ == "__main__":
    main()
