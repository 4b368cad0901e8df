"""Which apps and functions the worker and the host would take."""

import re
import subprocess
import sys

import azure.functions as func
import pytest

from infra.local.functions_host.indexing import Binding, IndexedFunction, check_function
from infra.local.functions_host.service import DEFAULT_APP_ROOT

QUEUE = Binding("msg", "queueTrigger", {"queueName": "inbox", "connection": "DATA"})
TIMER = Binding("timer", "timerTrigger", {"schedule": "0 * * * * *"})
HTTP = Binding("req", "httpTrigger", {})
HTTP_OUT = Binding("$return", "http", {})


def takes_message(msg: func.QueueMessage) -> None:
    """A queue function."""


def takes_message_and_context(msg: str, context: func.Context) -> None:
    """With context."""


async def answers(req: func.HttpRequest) -> func.HttpResponse:
    """An HTTP function."""
    return func.HttpResponse("x")


def test_a_function_is_described_by_its_bindings_and_signature():
    function = check_function("split", takes_message, [QUEUE])
    assert isinstance(function, IndexedFunction)
    assert (function.trigger, function.is_async, function.wants_context) == (QUEUE, False, False)
    assert function.trigger_type is func.QueueMessage
    assert not function.has_return
    asynchronous = check_function("api", answers, [HTTP, HTTP_OUT])
    assert isinstance(asynchronous, IndexedFunction)
    assert asynchronous.is_async
    assert asynchronous.has_return
    with_context = check_function("x", takes_message_and_context, [QUEUE])
    assert isinstance(with_context, IndexedFunction)
    assert with_context.wants_context


@pytest.mark.parametrize(
    ("name", "call", "bindings", "why"),
    [
        ("split", lambda my_msg: None, [Binding("my_msg", "queueTrigger", {})], "no underscore"),
        ("1st", takes_message, [QUEUE], "begins with a letter"),
        ("Host", takes_message, [QUEUE], "'host' is taken"),
        ("a" * 129, takes_message, [QUEUE], "128"),
        ("split", lambda msg, timer: None, [QUEUE, TIMER], "2 triggers"),
        ("split", lambda: None, [HTTP_OUT], "0 triggers"),
        ("split", takes_message, [QUEUE, Binding("msg", "queue", {})], "two bindings are named 'msg'"),
        ("split", lambda msg, other: None, [QUEUE], r"\['other'\] have no binding"),
        ("split", lambda: None, [QUEUE], r"\['msg'\] have no parameter"),
        ("split", lambda blob: None, [Binding("blob", "blobTrigger", {})], "does not know .*blobTrigger"),
    ],
)
def test_what_the_host_would_drop_is_a_problem(name, call, bindings, why):
    problems = check_function(name, call, bindings)
    assert isinstance(problems, list)
    assert any(re.search(why, problem) for problem in problems), problems


APP = """
import azure.functions as func
app = func.FunctionApp()
@app.queue_trigger(arg_name="msg", queue_name="inbox", connection="DATA")
def work(msg: func.QueueMessage) -> None: ...
"""
LOAD = """
import sys
from pathlib import Path
from infra.local.functions_host.indexing import load_functions
try:
    print([one.name for one in load_functions(Path(sys.argv[1]), *sys.argv[2:])])
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def load(app_root, *script):
    """Index an app in a process of its own: it changes sys.path and sys.modules."""
    command = [sys.executable, "-c", LOAD, str(app_root), *script]
    return subprocess.run(command, cwd=DEFAULT_APP_ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"function_app.py": APP}, "['work']"),
        # the package beats the marker file of the same name, whatever that holds
        ({"function_app.py": "raise RuntimeError", "function_app/__init__.py": APP}, "['work']"),
        ({"function_app/__init__.py": APP}, "There is no function_app.py"),
        ({"function_app.py": ""}, "no FunctionApp at its top level"),
        ({"function_app.py": APP + "other = func.FunctionApp()\n"}, "more than one top-level FunctionApp"),
        ({"function_app.py": "import azure.functions as f\nb = f.Blueprint()\n"}, "no FunctionApp"),
        ({"function_app.py": "import azure.functions as f\na = f.FunctionApp()\n"}, "without functions"),
        ({"function_app.py": "import nonexistent_module\n"}, "does not import: ModuleNotFoundError"),
        ({"function_app.py": APP.replace('"msg"', '"the_msg"').replace("(msg", "(the_msg")}, "no underscore"),
        ({"function_app.py": APP + APP.partition("app = func.FunctionApp()")[2]}, "cannot be indexed"),
    ],
)
def test_an_app_is_found_as_the_worker_finds_it(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert expected in load(tmp_path)


def test_another_script_name_is_possible_but_no_path(tmp_path):
    (tmp_path / "main.py").write_text(APP)
    assert load(tmp_path, "main.py") == "['work']\n"
    assert "no path" in load(tmp_path, "folder/main.py")


def test_this_projects_app_is_taken():
    assert "'ingest'" in load(DEFAULT_APP_ROOT)
