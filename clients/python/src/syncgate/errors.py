"""What may go wrong, one class each. `.code` is the word of Redis (`SGREV`, `NOPERM`, ...), `str(error)` its text."""

from __future__ import annotations

import re
from typing import Any, Mapping, Sequence


class SyncGateError(Exception):
    """Every error of this package that is not a mistake in the types of arguments."""

    code: str = ""

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        if code is not None:
            self.code = code


class InvalidName(SyncGateError, ValueError):
    """Not a name: 1 to 512 bytes of UTF-8 without control characters and braces."""

    code = "SGNAME"


class InvalidId(SyncGateError, ValueError):
    """Not an id of an item: an `int`, or a `str` of 1 to 256 bytes; or two items of one id where that cannot be."""

    code = "SGID"


class InvalidValue(SyncGateError, ValueError):
    """Not JSON: NaN, an infinity, half a surrogate pair, nested deeper than 60."""

    code = "SGJSON"


class NotFound(SyncGateError, LookupError):
    """There is no such item."""

    code = "SGID"


class Exists(SyncGateError):
    """The list has this id already."""

    code = "SGID"


class Conflict(SyncGateError):
    """Somebody else was faster: nothing was changed.

    `expected`: the revision that was named. `found`: that of the variable, or of the item's last change; `None` when it is not known.
    """

    code = "SGREV"
    expected: int
    found: int | None

    def __init__(self, text: str, *, expected: int, found: int | None) -> None:
        super().__init__(text)
        self.expected = expected
        self.found = found


class WrongKind(SyncGateError):
    """A positional operation on a sorted list, or the other way round."""

    code = "SGARG"


class OutOfRange(SyncGateError, IndexError):
    """The index is not within the list."""

    code = "SGARG"


class TooLarge(SyncGateError):
    """A value over 8 MiB, an array over 64 MiB, a sort key over 256 bytes."""

    code = "SGARG"


class Damaged(SyncGateError):
    """Somebody wrote past the functions. `set`, `delete`, `set_all` and `drop` mend it."""

    code = "SGDATA"


class Unavailable(SyncGateError, ConnectionError):
    """Redis does not answer: no connection, no answer in time, loading its data, a cluster that is down.

    `maybe_done`: the command was sent, so it may have been carried out.
    """

    maybe_done: bool

    def __init__(self, text: str, *, code: str | None = None, maybe_done: bool = False) -> None:
        super().__init__(text, code=code)
        self.maybe_done = maybe_done


class Refused(SyncGateError):
    """Redis would not do it: `NOPERM`, `NOAUTH`, `WRONGPASS`, `OOM`, `READONLY`, `MISCONF`. Nothing was changed."""


class FunctionsMissing(SyncGateError):
    """Redis has no function library, or an older one, and this user may not load it. The text names the command that does."""


class Busy(SyncGateError):
    """The list changed all the time while it was read or compared."""


class PipelineError(SyncGateError):
    """Some operations of a pipeline failed; the others were carried out.

    `results`: a value or an exception for each operation, in order; beyond 100 000 operations only the failures, by place.
    """

    results: Sequence[Any] | Mapping[int, BaseException]

    def __init__(self, text: str, results: Sequence[Any] | Mapping[int, BaseException]) -> None:
        super().__init__(text)
        self.results = results


class CallError(SyncGateError):
    """A call that gave no value. `error_code`: the number of the protocol; `maybe_done`: the function may have run."""

    error_code: int = 8
    maybe_done: bool = True

    def __init__(self, text: str, *, error_code: int | None = None) -> None:
        if error_code is not None:
            self.error_code = error_code
        super().__init__(text, code=str(self.error_code))


class NoSuchFunction(CallError):
    """Nobody serves this function."""

    error_code = 3
    maybe_done = False


class InvalidArguments(CallError):
    """The function does not take these arguments; it was not run. A function may raise it itself."""

    error_code = 6
    maybe_done = False


class CallFailed(CallError):
    """The function failed, or whoever ran it is gone."""


class CallTimeout(CallError):
    """No answer before the deadline."""


class CallCancelled(CallError):
    """The call was cancelled. In a function: raised by `Context.check()`."""


class FunctionError(SyncGateError):
    """For functions to raise: this text and this code (1 to 8) reach the caller."""

    def __init__(self, text: str, code: int = 8) -> None:
        if not 1 <= code <= 8:
            raise ValueError(f"the code of a FunctionError is 1 to 8, not {code}")
        super().__init__(text, code=str(code))
        self.error_code = code


# What functions.lua says, told apart by its words; a test goes through all that stand there.
_BY_TEXT: tuple[tuple[str, str, type[SyncGateError]], ...] = (
    ("SGNAME", "", InvalidName),
    ("SGJSON", "", InvalidValue),
    ("SGID", "no such item", NotFound),
    ("SGID", "no item at this index", NotFound),
    ("SGID", "the list has this id already", Exists),
    ("SGID", "", InvalidId),
    ("SGARG", "the list is sorted", WrongKind),
    ("SGARG", "the list is positional", WrongKind),
    ("SGARG", "the index is not within the list", OutOfRange),
    ("SGARG", "value larger than", TooLarge),
    ("SGARG", "arguments larger than", TooLarge),
    ("SGARG", "an identity larger than", TooLarge),
    ("SGARG", "the array is larger than", TooLarge),
    ("SGARG", "the sort key is longer than", TooLarge),
    ("SGDATA", "", Damaged),
)
_AWAY = {"LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"}
_REFUSED = {"NOPERM", "NOAUTH", "WRONGPASS", "OOM", "READONLY", "MISCONF", "NOREPLICAS"}


def from_reply(text: str) -> SyncGateError:
    """The error for what Redis said, its first word included."""
    code, _, rest = text.partition(" ")
    if code == "SGREV":
        numbers = [int(number) for number in re.findall(r"(?:revision|found) (\d+)", rest)]
        return Conflict(rest, expected=numbers[0] if numbers else 0, found=numbers[1] if len(numbers) > 1 else None)
    for word, begin, kind in _BY_TEXT:
        if code == word and rest.startswith(begin):
            return kind(rest, code=code)
    if text.startswith("The user executing the script can't"):
        return Refused(text, code="NOPERM")
    if code in _AWAY or code == "SGAWAY":
        return Unavailable(text, code=code)
    if code in _REFUSED:
        return Refused(text, code=code)
    return SyncGateError(text if not code.startswith("SG") else rest, code=code)
