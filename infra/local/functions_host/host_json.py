"""host.json: the part that a local host obeys, with the real host's defaults and limits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Any

from infra.local.functions_host.timespan import parse_timespan
from shared.errors import PermanentError


@unique
class MessageEncoding(Enum):
    """How queue messages are written."""

    BASE64 = "base64"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """`extensions.queues`.

    Attributes:
        batch_size: Messages taken at once, 1 to 32.
        new_batch_threshold: A new batch is taken when at most this many messages are being worked on.
        max_dequeue_count: Deliveries of a message before it goes to the poison queue.
        visibility_timeout_seconds: How long a failed message stays hidden.
        max_polling_seconds: The longest wait between looks at an empty queue.
        message_encoding: How messages are written.
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout_seconds: float = 0.0
    max_polling_seconds: float = 60.0
    message_encoding: MessageEncoding = MessageEncoding.BASE64


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What host.json says.

    Attributes:
        function_timeout_seconds: The longest run of a function; None has no limit.
        route_prefix: First segments of every HTTP route; may be empty.
        queues: Settings of queue triggers.
    """

    function_timeout_seconds: float | None = 1800.0
    route_prefix: str = "api"
    queues: QueueSettings = QueueSettings()


def load_host_json(app_root: Path, overrides: Mapping[tuple[str, ...], str]) -> HostSettings:
    """Read an app's host.json.

    Args:
        app_root: The folder it lies in.
        overrides: App settings that replace values, by case-insensitive path (`AzureFunctionsJobHost__...`).

    Raises:
        PermanentError: There is none, or the host would not start with it.
    """
    path = app_root / "host.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise PermanentError(f"There is no host.json in {app_root}. Is it the root of a Function App?") from error
    except (OSError, ValueError) as error:
        raise PermanentError(f"Cannot read {path}: {error}") from error
    if not isinstance(stored, dict) or stored.get("version") != "2.0":
        raise PermanentError(f'{path} must be an object with "version": "2.0".')
    try:
        return parse_host_json(stored, overrides)
    except (ValueError, TypeError, AttributeError) as error:
        raise PermanentError(f"{path}: {error}") from error


def parse_host_json(stored: Mapping[str, Any], overrides: Mapping[tuple[str, ...], str]) -> HostSettings:
    """Settings of a host.json document.

    Raises:
        ValueError: A value has the wrong form or is outside the host's limits.
    """
    tree = _lowered(stored)
    for path, value in overrides.items():
        node = tree
        for step in path[:-1]:
            node = node.setdefault(step.casefold(), {})
        node[path[-1].casefold()] = value
    queues = tree.get("extensions", {}).get("queues", {})
    batch_size = _integer(queues, "batchSize", 16, 1, 32)
    timeout = tree.get("functiontimeout", "00:30:00")
    return HostSettings(
        function_timeout_seconds=None if str(timeout) == "-1" else parse_timespan(str(timeout)),
        route_prefix=str(tree.get("extensions", {}).get("http", {}).get("routeprefix", "api")).strip("/"),
        queues=QueueSettings(
            batch_size=batch_size,
            new_batch_threshold=_integer(queues, "newBatchThreshold", max(1, batch_size // 2), 0, 1000),
            max_dequeue_count=_integer(queues, "maxDequeueCount", 5, 1, 1000),
            visibility_timeout_seconds=parse_timespan(str(queues.get("visibilitytimeout", "00:00:00"))),
            max_polling_seconds=max(0.1, parse_timespan(str(queues.get("maxpollinginterval", "00:01:00")))),
            message_encoding=MessageEncoding(str(queues.get("messageencoding", "base64")).casefold()),
        ),
    )


def _lowered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name).casefold(): _lowered(inner) for name, inner in value.items()}
    return value


def _integer(tree: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = int(tree.get(name.casefold(), default))
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must be {low} to {high}")
    return value
