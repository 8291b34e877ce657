"""`python -m syncgate.load REDIS-URL`: loads the function library, unless a newer one is there. Exit code 3: Redis did not take it."""

from __future__ import annotations

import sys

from .errors import SyncGateError
from .gate import SyncGate


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with SyncGate.from_url(arguments[0]) as gate:
            print(f"version {gate.library()}")
    except (SyncGateError, ValueError) as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
