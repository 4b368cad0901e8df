"""App settings: the environment and `local.settings.json`, and what bindings take from them."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from shared.errors import PermanentError

_REFERENCE = re.compile(r"%([^%]+)%")
_HOST_PREFIX = "AzureFunctionsJobHost__"


class AppSettings:
    """Named text values; names are case-insensitive, as in the host.

    Args:
        values: The settings.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.casefold(): value for name, value in values.items()}

    @classmethod
    def load(cls, app_root: Path) -> "AppSettings":
        """Put the `Values` of the app's `local.settings.json` into the environment, then read the environment.

        As with `func start`, what the environment has already wins, and the app sees all of it.

        Raises:
            PermanentError: The file is there but not readable, or its values are not texts.
        """
        path = app_root / "local.settings.json"
        if path.exists():
            try:
                stored = json.loads(path.read_text(encoding="utf-8-sig"))
                values = stored.get("Values", {})
                pairs = [(str(name), value) for name, value in values.items()]
            except (OSError, ValueError, AttributeError) as error:
                raise PermanentError(f"Cannot read the app settings in {path}: {error!r}") from error
            for name, value in pairs:
                if not isinstance(value, str):
                    raise PermanentError(f"{path}: the value of {name} must be a text, got {value!r}.")
                os.environ.setdefault(name, value)
        return cls(os.environ)

    def get(self, name: str) -> str | None:
        """A setting's value; None when it is not set or empty."""
        return self._values.get(name.casefold()) or None

    def resolve(self, text: str, what: str) -> str:
        """A text with every `%NAME%` replaced by that setting.

        Raises:
            PermanentError: A setting is missing.
        """

        def value(match: re.Match[str]) -> str:
            found = self.get(match[1])
            if found is None:
                raise PermanentError(
                    f"{what} refers to %{match[1]}%, but there is no app setting {match[1]}. Set it in the "
                    "environment or in Values of local.settings.json."
                )
            return found

        return _REFERENCE.sub(value, text)

    def host_overrides(self) -> dict[tuple[str, ...], str]:
        """Settings `AzureFunctionsJobHost__a__b`, which replace values of host.json, by their path."""
        prefix = _HOST_PREFIX.casefold()
        return {
            tuple(name[len(prefix) :].split("__")): value
            for name, value in self._values.items()
            if name.startswith(prefix)
        }
