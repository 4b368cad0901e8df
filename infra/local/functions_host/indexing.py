"""Importing an app and listing its functions, with the checks of the Python worker and of the host.

The real host drops a function it does not like and starts the others; here every such function is an error
at the start, because a dropped function is found late and its queue fills up meanwhile.
"""

import importlib
import inspect
import json
import logging
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.errors import PermanentError

log = logging.getLogger(__name__)

DEFAULT_SCRIPT = "function_app.py"

_SCRIPT_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*\.py")
_FUNCTION_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)
_BINDING_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9]{0,127}|\$return")
_TRIGGERS = frozenset({"queueTrigger", "timerTrigger", "httpTrigger"})
_OUTPUTS = frozenset({"http", "queue"})
_RETURN = "$return"


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding as the worker reports it to the host.

    Attributes:
        name: The parameter's name, or `$return`.
        type: For example queueTrigger.
        properties: All of the binding's properties, named as in function.json.
    """

    name: str
    type: str
    properties: Mapping[str, Any]

    @property
    def is_trigger(self) -> bool:
        """Whether it starts the function."""
        return self.type.casefold().endswith("trigger")


@dataclass(frozen=True, slots=True)
class IndexedFunction:
    """A function that can run.

    Attributes:
        name: Its name.
        call: The Python function.
        trigger: What starts it.
        outputs: Its output bindings.
        wants_context: Whether it has a parameter `context`.
        is_async: Whether it is a coroutine function.
        trigger_type: The annotation of the trigger's parameter; None without one.
    """

    name: str
    call: Callable[..., Any]
    trigger: Binding
    outputs: tuple[Binding, ...]
    wants_context: bool
    is_async: bool
    trigger_type: Any

    @property
    def has_return(self) -> bool:
        """Whether a return value goes anywhere."""
        return any(binding.name == _RETURN for binding in self.outputs)


def load_functions(app_root: Path, script: str = DEFAULT_SCRIPT) -> tuple[IndexedFunction, ...]:
    """Import the app of a root folder and list its functions.

    Args:
        app_root: The folder of host.json.
        script: The script's name (the app setting PYTHON_SCRIPT_FILE_NAME).

    Raises:
        PermanentError: The app does not import, or the worker or the host would refuse it.
    """
    module = _import_script(app_root.resolve(), script)
    app = _only_app(module)
    try:
        built = app.get_functions()
    except ValueError as error:
        raise PermanentError(f"The app cannot be indexed: {error}") from error
    functions: list[IndexedFunction] = []
    problems: list[str] = []
    for function in built:
        bindings = [_binding(json.loads(raw)) for raw in function.get_raw_bindings()]
        found = check_function(str(function.get_function_name()), function.get_user_function(), bindings)
        if isinstance(found, IndexedFunction):
            functions.append(found)
        else:
            problems += found
    if problems:
        raise PermanentError("The Functions host would refuse this app:\n  " + "\n  ".join(problems))
    if not functions:
        raise PermanentError(f"{module.__name__} has a FunctionApp without functions. Register its blueprints.")
    return tuple(functions)


def check_function(name: str, call: Callable[..., Any], bindings: list[Binding]) -> IndexedFunction | list[str]:
    """The function with its bindings sorted, or what is wrong with it."""
    problems: list[str] = []
    if _FUNCTION_NAME.fullmatch(name) is None or name.casefold() == "host":
        problems.append(
            f"{name}: a function's name begins with a letter and has up to 128 letters, digits, - and _; "
            "'host' is taken"
        )
    names = [binding.name for binding in bindings]
    for binding in bindings:
        if _BINDING_NAME.fullmatch(binding.name) is None:
            problems.append(
                f"{name}: the binding name {binding.name!r} may have letters and digits only (no "
                "underscore): the host would drop the function without an error. Rename arg_name and the "
                "parameter"
            )
        if names.count(binding.name) > 1 and binding is bindings[names.index(binding.name)]:
            problems.append(f"{name}: two bindings are named {binding.name!r}")
        if binding.type not in _TRIGGERS | _OUTPUTS:
            problems.append(f"{name}: the local host does not know bindings of type {binding.type!r}")
    triggers = [binding for binding in bindings if binding.is_trigger]
    if len(triggers) != 1:
        problems.append(f"{name}: it has {len(triggers)} triggers; a function has exactly one")
    parameters = set(inspect.signature(call).parameters)
    bound = {binding.name for binding in bindings} - {_RETURN}
    wants_context = "context" in parameters and "context" not in bound
    parameters -= {"context"} if wants_context else set()
    if unbound := sorted(parameters - bound):
        problems.append(f"{name}: the parameters {unbound} have no binding; only `context` needs none")
    if unused := sorted(bound - parameters):
        problems.append(f"{name}: the bindings {unused} have no parameter of that name")
    if problems:
        return problems
    return IndexedFunction(
        name=name,
        call=call,
        trigger=triggers[0],
        outputs=tuple(binding for binding in bindings if not binding.is_trigger),
        wants_context=wants_context,
        is_async=inspect.iscoroutinefunction(call),
        trigger_type=typing.get_type_hints(call).get(triggers[0].name),
    )


def _binding(properties: Mapping[str, Any]) -> Binding:
    return Binding(str(properties["name"]), str(properties["type"]), properties)


def _import_script(app_root: Path, script: str) -> ModuleType:
    """Import the script's stem, with the app's folder last on the path, as core tools and Flex Consumption do."""
    if _SCRIPT_NAME.fullmatch(script) is None:
        raise PermanentError(f"PYTHON_SCRIPT_FILE_NAME={script!r} must be a file name such as main.py, no path.")
    if not (app_root / script).is_file():
        raise PermanentError(f"There is no {script} in {app_root}. Is it the root of a Function App?")
    # The folder this host was started in is no part of the app's path, unless it is the app's folder.
    sys.path[:] = [entry for entry in sys.path if entry and Path(entry).resolve() != app_root]
    cwd = Path.cwd()
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != cwd]
    sys.path.append(str(app_root))
    importlib.invalidate_caches()
    stem = Path(script).stem
    try:
        module = importlib.import_module(stem)
    except Exception as error:
        log.exception("the app does not import")
        raise PermanentError(f"The app in {app_root} does not import: {type(error).__name__}: {error}") from error
    origin = Path(module.__file__ or "").resolve()
    if not origin.is_relative_to(app_root):
        raise PermanentError(
            f"The module {stem} was found at {origin}, not in {app_root}. Another module of that name comes "
            "first on the Python path."
        )
    return module


def _only_app(module: ModuleType) -> Any:
    from azure.functions import FunctionRegister

    apps = [name for name in dir(module) if isinstance(getattr(module, name), FunctionRegister)]
    if not apps:
        raise PermanentError(
            f"{module.__name__} ({module.__file__}) has no FunctionApp at its top level. Import or make it "
            "there; a blueprint does not count."
        )
    if len(apps) > 1:
        raise PermanentError(f"{module.__name__} has more than one top-level FunctionApp: {', '.join(apps)}.")
    return getattr(module, apps[0])
