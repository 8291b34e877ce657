"""Live variables, lists and calls of syncgate, from Python. docs/python.md is the manual.

    gate = SyncGate.from_url("redis://localhost")
    gate.var("price").set({"usd": 5})
"""

from .errors import (
    Busy,
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    Conflict,
    Damaged,
    Exists,
    FunctionError,
    FunctionsMissing,
    InvalidArguments,
    InvalidId,
    InvalidName,
    InvalidValue,
    NoSuchFunction,
    NotFound,
    OutOfRange,
    PipelineError,
    Refused,
    SyncGateError,
    TooLarge,
    Unavailable,
    WrongKind,
)
from .functions import Context, Functions
from .gate import AsyncSyncGate, SyncGate
from .jsontext import Raw
from .names import AsyncList, AsyncVar, List, Var
from .pipeline import AsyncPipeline, Pipeline
from .results import Changes, Deferred, Item, Page, Snapshot

__version__ = "0.1.0"

__all__ = [
    "AsyncList", "AsyncPipeline", "AsyncSyncGate", "AsyncVar", "Busy", "CallCancelled", "CallError", "CallFailed", "CallTimeout", "Changes",
    "Conflict", "Context", "Damaged", "Deferred", "Exists", "FunctionError", "Functions", "FunctionsMissing", "InvalidArguments", "InvalidId",
    "InvalidName", "InvalidValue", "Item", "List", "NoSuchFunction", "NotFound", "OutOfRange", "Page", "Pipeline", "PipelineError", "Raw",
    "Refused", "Snapshot", "SyncGate", "SyncGateError", "TooLarge", "Unavailable", "Var", "WrongKind", "__version__",
]  # fmt: skip
