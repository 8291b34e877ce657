"""Two registries."""

from syncgate import Functions, SyncGate

first = SyncGate.from_url("redis://127.0.0.1:1")
second = Functions()


@first.function
def double(n: int) -> int:
    return 2 * n


@second.function
def add(a: int) -> int:
    return a
