"""Lines like those of the gateway: `ts=... level=info msg="..." key=value`, or the same fields as JSON."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
from typing import Any

_STANDARD = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_LEVELS = {"WARNING": "warn", "CRITICAL": "error"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    moment = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
    fields: dict[str, Any] = {
        "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _LEVELS.get(record.levelname, record.levelname.lower()),
        "msg": record.getMessage(),
    }
    fields.update({name: value for name, value in vars(record).items() if name not in _STANDARD and value not in (None, "")})
    if record.exc_info and record.exc_info[1] is not None:
        fields["trace"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return fields


def _quoted(value: Any) -> str:
    text = str(value)
    if text and all("!" <= character <= "~" and character not in '"=\\' for character in text):
        return text
    return json.dumps(text, ensure_ascii=False)


class Logfmt(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_quoted(value)}" for name, value in _fields(record).items())


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record), ensure_ascii=False, default=str)


def set_up(level: str, form: str) -> None:
    """All logs of the process go to standard error in this form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Logfmt())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(getattr(logging, level.upper()))
