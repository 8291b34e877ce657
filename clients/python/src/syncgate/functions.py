"""Functions that workers serve: registering them, and what they get."""

from __future__ import annotations

import inspect
import logging
import threading
import time
import typing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, TypeVar, overload

from .checks import Checker, Mismatch, checker, fields_checker
from .errors import CallCancelled, InvalidArguments
from .jsontext import name_bytes

if TYPE_CHECKING:
    from .gate import AsyncSyncGate, SyncGate

F = TypeVar("F", bound=Callable[..., Any])


class Context:
    """The call that a function runs for; every attribute may be used from any thread.

    `call_id`, `function`. `user`: who calls, as the gateway knows it, or `None`; `info`: all it knows. `deadline`: by `time.monotonic()`.
    `gate`, `agate`: the worker's gates (`agate` on its loop only). `log`: a logger that names call, function and user.
    """

    def __init__(
        self,
        *,
        function: str = "",
        call_id: str = "",
        info: Mapping[str, Any] | None = None,
        user: str | None = None,
        deadline: float | None = None,
        report: Callable[[Any], None] | None = None,
        gate: SyncGate | None = None,
        agate: AsyncSyncGate | None = None,
    ) -> None:
        self.function = function
        self.call_id = call_id
        self.info: dict[str, Any] = dict(info or {})
        held = self.info.get("user")
        self.user: str | None = user if user is not None else None if held is None else str(held)
        self.deadline = time.monotonic() + 30 if deadline is None else deadline
        self.gate = gate
        self.agate = agate
        self.cancel_reason: str | None = None
        self._report = report
        self._cancelled = threading.Event()
        about = {"call": call_id, "function": function, "user": self.user}
        self.log = logging.LoggerAdapter(logging.getLogger("syncgate.function"), about)

    @property
    def cancelled(self) -> bool:
        """Nobody waits for the answer any more; `cancel_reason` says why: deadline, caller, gone, stopping."""
        return self._cancelled.is_set()

    def remaining(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raises: `CallCancelled` once the call is cancelled."""
        if self._cancelled.is_set():
            raise CallCancelled(f"cancelled: {self.cancel_reason}")

    def progress(self, value: Any) -> None:
        """Tells the caller how far it is. Returns at once; of many in a tenth of a second the newest is sent."""
        if self._report is not None and not self._cancelled.is_set():
            self._report(value)

    def cancel(self, reason: str) -> None:
        """For workers and tests: the call is not wanted any more."""
        if not self._cancelled.is_set():
            self.cancel_reason = reason
            self._cancelled.set()


@dataclass(frozen=True)
class Served:
    """A function as it is registered."""

    name: str
    fn: Callable[..., Any]
    timeout: float | None
    concurrency: int | None
    thread: bool
    is_async: bool
    context: str | None
    check: Checker = field(repr=False)
    arguments: tuple[str, ...] = ()

    def bind(self, args: Any, context: Context) -> dict[str, Any]:
        """The keyword arguments of a call. Raises: `InvalidArguments`."""
        try:
            bound: dict[str, Any] = self.check({} if args is None else args, "")
        except Mismatch as mismatch:
            raise InvalidArguments(str(mismatch)) from None
        if self.context is not None:
            bound[self.context] = context
        return bound


def _served(fn: Callable[..., Any], name: str, timeout: float | None, concurrency: int | None, thread: bool | None) -> Served:
    name_bytes(name)
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{name}: a generator cannot be served")
    if timeout is not None and timeout <= 0:
        raise ValueError(f"{name}: a timeout is longer than 0 s")
    if concurrency is not None and concurrency < 1:
        raise ValueError(f"{name}: the concurrency is at least 1")
    is_async = inspect.iscoroutinefunction(fn)
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except NameError as error:
        raise TypeError(f"{name}: an annotation that cannot be found: {error}") from None
    context: str | None = None
    more = False
    fields: dict[str, tuple[Checker, bool]] = {}
    shown: list[str] = []
    for parameter in inspect.signature(fn).parameters.values():
        hint = hints.get(parameter.name, parameter.empty)
        if hint is Context or parameter.name == "ctx":
            context = parameter.name
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            more = True
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise TypeError(f"{name}: arguments come by name, and {parameter.name} has none")
        if parameter.default is None and hint is not parameter.empty:
            hint = typing.Optional[hint]
        fields[parameter.name] = (checker(hint, f"{name}: {parameter.name}"), parameter.default is parameter.empty)
        text = inspect.formatannotation(hint) if hint is not parameter.empty else ""
        shown.append(parameter.name + (f": {text}" if text else "") + ("" if parameter.default is parameter.empty else f" = {parameter.default!r}"))
    return Served(
        name, fn, timeout, concurrency, not is_async and thread is not False, is_async, context, fields_checker(fields, dict, more), tuple(shown)
    )  # fmt: skip


class Registry:
    """Functions by name."""

    def __init__(self) -> None:
        self._served: dict[str, Served] = {}

    def _add(self, served: Served) -> None:
        if served.name in self._served:
            raise ValueError(f"a function {served.name} is registered already")
        self._served[served.name] = served

    @overload
    def function(self, name: F) -> F: ...

    @overload
    def function(
        self, name: str | None = None, *, timeout: float | None = None, concurrency: int | None = None, thread: bool | None = None
    ) -> Callable[[F], F]: ...

    def function(
        self,
        name: Any = None,
        *,
        timeout: float | None = None,
        concurrency: int | None = None,
        thread: bool | None = None,
    ) -> Any:
        """Registers a function, which stays an ordinary one: `@gate.function` or `@gate.function("name", ...)`.

        `timeout`: seconds at most, beside the caller's deadline. `concurrency`: calls of it at a time in one worker. `thread=False`: a plain
        function that never blocks runs on the loop. Raises: `ValueError` for a name that is there already, `InvalidName`, `TypeError` for
        an annotation that arguments cannot be checked against.
        """

        def register(fn: F) -> F:
            self._add(_served(fn, name if isinstance(name, str) else fn.__name__, timeout, concurrency, thread))
            return fn

        if callable(name):
            return register(name)
        return register

    def include(self, other: Registry, *, prefix: str = "") -> None:
        """Registers all functions of another registry here, with `prefix` before their names."""
        for served in other.served():
            self._add(_served(served.fn, prefix + served.name, served.timeout, served.concurrency, served.thread if not served.is_async else None))

    def served(self) -> Iterator[Served]:
        """What is registered, in its order."""
        return iter(list(self._served.values()))


class Functions(Registry):
    """A registry without a connection, for libraries: `gate.include(functions, prefix="billing.")`."""
