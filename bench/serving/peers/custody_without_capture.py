"""custody's inference server with one change: answers are not recorded. It shows what capture costs; users cannot choose it."""

from custody.bootstrap.inference import main
from custody.inference.captures.record import Recorder


def _nothing(*_: object, **__: object) -> None:
    return


if __name__ == "__main__":
    Recorder.record = _nothing  # type: ignore[method-assign]
    main()
