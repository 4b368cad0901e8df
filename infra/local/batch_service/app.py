"""HTTP: finds the operation, checks signature and conditions, answers in Batch's form."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from infra.local.batch_service import files, jobs, pools, tasks
from infra.local.batch_service.auth import SharedKey
from infra.local.batch_service.book import Book
from infra.local.batch_service.model import Resource, State
from infra.local.batch_service.odata import (
    FILE_PROPERTIES,
    JOB_PROPERTIES,
    POOL_PROPERTIES,
    TASK_PROPERTIES,
    parse_filter,
    parse_select,
)
from infra.local.batch_service.wire import API_VERSION, JsonObject, WireError, http_date, parse_utc, utc_text

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger(__name__)
_MAX_BODY_BYTES = 1 << 20
_MAX_PAGE = 1000

_URLS = Map(
    [
        Rule("/local/health", endpoint="health", methods=["GET"]),
        Rule("/local/preempt", endpoint="preempt", methods=["POST"]),
        Rule("/pools", endpoint="create_pool", methods=["POST"]),
        Rule("/pools", endpoint="list_pools", methods=["GET"]),
        Rule("/pools/<pool_id>", endpoint="get_pool", methods=["GET"]),
        Rule("/pools/<pool_id>", endpoint="delete_pool", methods=["DELETE"]),
        Rule("/pools/<pool_id>/resize", endpoint="resize_pool", methods=["POST"]),
        Rule("/pools/<pool_id>/nodes", endpoint="list_nodes", methods=["GET"]),
        Rule("/jobs", endpoint="create_job", methods=["POST"]),
        Rule("/jobs", endpoint="list_jobs", methods=["GET"]),
        Rule("/jobs/<job_id>", endpoint="get_job", methods=["GET"]),
        Rule("/jobs/<job_id>", endpoint="update_job", methods=["PATCH"]),
        Rule("/jobs/<job_id>", endpoint="replace_job", methods=["PUT"]),
        Rule("/jobs/<job_id>", endpoint="delete_job", methods=["DELETE"]),
        Rule("/jobs/<job_id>/terminate", endpoint="terminate_job", methods=["POST"]),
        Rule("/jobs/<job_id>/disable", endpoint="disable_job", methods=["POST"]),
        Rule("/jobs/<job_id>/enable", endpoint="enable_job", methods=["POST"]),
        Rule("/jobs/<job_id>/taskcounts", endpoint="task_counts", methods=["GET"]),
        Rule("/jobs/<job_id>/addtaskcollection", endpoint="add_collection", methods=["POST"]),
        Rule("/jobs/<job_id>/tasks", endpoint="create_task", methods=["POST"]),
        Rule("/jobs/<job_id>/tasks", endpoint="list_tasks", methods=["GET"]),
        Rule("/jobs/<job_id>/tasks/<task_id>", endpoint="get_task", methods=["GET"]),
        Rule("/jobs/<job_id>/tasks/<task_id>", endpoint="replace_task", methods=["PUT"]),
        Rule("/jobs/<job_id>/tasks/<task_id>", endpoint="delete_task", methods=["DELETE"]),
        Rule("/jobs/<job_id>/tasks/<task_id>/terminate", endpoint="terminate_task", methods=["POST"]),
        Rule("/jobs/<job_id>/tasks/<task_id>/reactivate", endpoint="reactivate_task", methods=["POST"]),
        Rule("/jobs/<job_id>/tasks/<task_id>/files", endpoint="list_files", methods=["GET"]),
        Rule("/jobs/<job_id>/tasks/<task_id>/files/<path:path>", endpoint="get_file", methods=["GET"]),
    ],
    strict_slashes=False,
    merge_slashes=False,
)


class BatchApp:
    """The WSGI application of one account.

    Args:
        book: The account's state.
        key: Its name and key.
    """

    def __init__(self, book: Book, key: SharedKey) -> None:
        self._book = book
        self._key = key

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(environ)
        # Read even what is refused: the rest of the body would be taken for the next request.
        request.get_data(cache=True)
        now = datetime.now(UTC)
        request_id = str(uuid.uuid4())
        try:
            response = self._answer(request, now)
        except WireError as error:
            response = _error_response(request, error, request_id, now)
        except Exception:  # noqa: BLE001 - the outermost frame: a bug must reach the client as a 500
            _LOG.exception("%s %s failed", request.method, request.path)
            response = _error_response(request, WireError("InternalError"), request_id, now)
        response.headers["request-id"] = request_id
        response.headers["DataServiceVersion"] = "3.0"
        if client_request_id := request.headers.get("client-request-id"):
            response.headers["client-request-id"] = client_request_id
        return response(environ, start_response)

    def _answer(self, request: Request, now: datetime) -> Response:
        try:
            name, arguments = _URLS.bind_to_environ(request.environ).match()
        except MethodNotAllowed:
            raise WireError("UnsupportedHttpVerb") from None
        except HTTPException:
            raise WireError("ResourceNotFound") from None
        if not request.path.startswith("/local/"):
            headers = {key.lower(): value for key, value in request.headers.items()}
            self._key.check(request.method, str(request.environ["REQUEST_URI"]), headers, now)
            version = request.args.get("api-version")
            if version is None:
                raise WireError("MissingRequiredQueryParameter", QueryParameterName="api-version")
            if version != API_VERSION:
                raise WireError("UnsupportedRequestVersion", Version=version)
            if len(request.get_data()) > _MAX_BODY_BYTES:
                raise WireError("RequestBodyTooLarge", MaxLimit=str(_MAX_BODY_BYTES))
        operation: Callable[..., Response] = getattr(self, f"_{name}")
        return operation(request, **arguments)

    # -- this service's own --------------------------------------------------------------------

    def _health(self, _request: Request) -> Response:
        with self._book.changed:
            running = len(self._book.runs)
            active = sum(
                task.state is State.ACTIVE for entry in self._book.jobs.values() for task in entry.tasks.values()
            )
        return _json({"status": "ready", "account": self._book.account, "activeTasks": active, "runningTasks": running})

    def _preempt(self, request: Request) -> Response:
        with self._book.change():
            found = tasks.preempt(self._book, request.args.get("jobId"), request.args.get("taskId"))
        return _json(found or {"message": "no such task is running"}, 200 if found else 404)

    # -- pools ---------------------------------------------------------------------------------

    def _create_pool(self, request: Request) -> Response:
        with self._book.change() as now:
            pool = pools.create(self._book, _body(request), now)
            return _stamped(Response(status=201), pool, f"{_base(request)}/pools/{pool.id}")

    def _list_pools(self, request: Request) -> Response:
        with self._book.changed:
            items = [(pool.sequence, pool.wire(_base(request))) for pool in self._book.pools.values()]
        return _page(request, "pools", items, POOL_PROPERTIES)

    def _get_pool(self, request: Request, pool_id: str) -> Response:
        with self._book.changed:
            pool = self._book.pool(pool_id)
            return _one(request, "pools", pool, pool.wire(_base(request)))

    def _delete_pool(self, request: Request, pool_id: str) -> Response:
        with self._book.change() as now:
            pool = self._book.pool(pool_id)
            _conditions(request, pool)
            pools.delete(self._book, pool, now)
        return Response(status=202)

    def _resize_pool(self, request: Request, pool_id: str) -> Response:
        with self._book.change() as now:
            pool = self._book.pool(pool_id)
            _conditions(request, pool)
            pools.resize(self._book, pool, _body(request), now)
            return _stamped(Response(status=202), pool)

    def _list_nodes(self, request: Request, pool_id: str) -> Response:
        with self._book.changed:
            pool = self._book.pool(pool_id)
            items = list(enumerate((pools.node_document(pool, node, _base(request)) for node in pool.nodes), start=1))
        return _page(request, "nodes", items, frozenset({"id", "state", "isDedicated"}))

    # -- jobs ----------------------------------------------------------------------------------

    def _create_job(self, request: Request) -> Response:
        with self._book.change() as now:
            job = jobs.create(self._book, _body(request), now)
            return _stamped(Response(status=201), job, f"{_base(request)}/jobs/{job.id}")

    def _list_jobs(self, request: Request) -> Response:
        with self._book.changed:
            items = [(entry.job.sequence, entry.job.wire(_base(request))) for entry in self._book.jobs.values()]
        return _page(request, "jobs", items, JOB_PROPERTIES)

    def _get_job(self, request: Request, job_id: str) -> Response:
        with self._book.changed:
            job = self._book.job(job_id).job
            return _one(request, "jobs", job, job.wire(_base(request)))

    def _update_job(self, request: Request, job_id: str, *, replace: bool = False) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            _conditions(request, entry.job)
            jobs.update(self._book, entry, _body(request), now, replace=replace)
            return _stamped(Response(status=200), entry.job)

    def _replace_job(self, request: Request, job_id: str) -> Response:
        return self._update_job(request, job_id, replace=True)

    def _delete_job(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            _conditions(request, entry.job)
            jobs.delete(self._book, entry, now)
        return Response(status=202)

    def _terminate_job(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            _conditions(request, entry.job)
            jobs.terminate(self._book, entry, _body(request, optional=True), now)
            return _stamped(Response(status=202), entry.job)

    def _disable_job(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            _conditions(request, entry.job)
            jobs.disable(self._book, entry, _body(request), now)
            return _stamped(Response(status=202), entry.job)

    def _enable_job(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            _conditions(request, entry.job)
            jobs.enable(self._book, entry, now)
            return _stamped(Response(status=202), entry.job)

    def _task_counts(self, request: Request, job_id: str) -> Response:
        with self._book.changed:
            counts = jobs.task_counts(self._book.job(job_id))
        return _json({"odata.metadata": f"{_base(request)}/$metadata#taskcountsresult/@Element", **counts})

    # -- tasks ---------------------------------------------------------------------------------

    def _create_task(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            task = tasks.add(self._book, entry, _body(request), now)
            return _stamped(Response(status=201), task, f"{_base(request)}/jobs/{entry.job.id}/tasks/{task.id}")

    def _add_collection(self, request: Request, job_id: str) -> Response:
        with self._book.change() as now:
            entry = self._book.job(job_id)
            results = tasks.add_collection(self._book, entry, _body(request), _base(request), now)
        return _json(
            {
                "odata.metadata": f"{_base(request)}/$metadata#Collection"
                "(Microsoft.Azure.Batch.Protocol.Entities.TaskAddStatus)",
                "value": results,
            }
        )

    def _list_tasks(self, request: Request, job_id: str) -> Response:
        with self._book.changed:
            entry = self._book.job(job_id)
            items = [(task.sequence, task.wire(_base(request), entry.job)) for task in entry.tasks.values()]
        return _page(request, "tasks", items, TASK_PROPERTIES)

    def _get_task(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.changed:
            entry, task = self._book.task(job_id, task_id)
            return _one(request, "tasks", task, task.wire(_base(request), entry.job))

    def _replace_task(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.change() as now:
            _, task = self._book.task(job_id, task_id)
            _conditions(request, task)
            tasks.replace(self._book, task, _body(request), now)
            return _stamped(Response(status=200), task)

    def _delete_task(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.change() as now:
            entry, task = self._book.task(job_id, task_id)
            _conditions(request, task)
            tasks.delete(self._book, entry, task, now)
        return Response(status=200)

    def _terminate_task(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.change() as now:
            entry, task = self._book.task(job_id, task_id)
            _conditions(request, task)
            tasks.terminate(self._book, entry, task, now)
            return _stamped(Response(status=204), task)

    def _reactivate_task(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.change() as now:
            entry, task = self._book.task(job_id, task_id)
            _conditions(request, task)
            tasks.reactivate(self._book, entry, task, now)
            return _stamped(Response(status=204), task)

    # -- files ---------------------------------------------------------------------------------

    def _list_files(self, request: Request, job_id: str, task_id: str) -> Response:
        with self._book.changed:
            entry, task = self._book.task(job_id, task_id)
            root = files.root_of(self._book, entry.job, task)
            url = f"{_base(request)}/jobs/{entry.job.id}/tasks/{task.id}/files"
        recursive = request.args.get("recursive", "").lower() == "true"
        items = list(enumerate(files.listing(root, url, recursive=recursive), start=1))
        return _page(request, "files", items, FILE_PROPERTIES)

    def _get_file(self, request: Request, job_id: str, task_id: str, path: str) -> Response:
        with self._book.changed:
            entry, task = self._book.task(job_id, task_id)
            root = files.root_of(self._book, entry.job, task)
        found = files.locate(root, path)
        headers = files.headers(found, request.base_url)
        if request.method == "HEAD" or found.is_dir():
            if request.method != "HEAD":
                raise WireError("FileNotFound", FilePath=path, Reason="a directory has no content")
            response = Response(status=200, headers=headers)
            response.content_length = 0 if found.is_dir() else found.stat().st_size
            return response
        start, end = files.byte_range(request.headers.get("ocp-range"), found.stat().st_size)
        # 200 also for a part: the SDK takes nothing else for success
        response = Response(files.read(found, start, end), status=200, headers=headers)
        response.content_length = end - start
        return response


def _base(request: Request) -> str:
    return request.host_url.rstrip("/")


def _body(request: Request, *, optional: bool = False) -> Any:
    data = request.get_data()
    if not data and optional:
        return None
    try:
        document = json.loads(data)
    except ValueError as error:
        raise WireError("InvalidRequestBody", Reason=str(error)) from error
    if not isinstance(document, dict):
        raise WireError("InvalidRequestBody", Reason="a JSON object is needed")
    return document


def _json(document: JsonObject, status: int = 200) -> Response:
    return Response(
        json.dumps(document, separators=(",", ":")),
        status=status,
        content_type="application/json; odata=minimalmetadata",
    )


def _error_response(request: Request, error: WireError, request_id: str, now: datetime) -> Response:
    container = "Microsoft.Azure.Batch.Protocol.Entities.Container.errors"
    return _json(
        {
            "odata.metadata": f"{_base(request)}/$metadata#{container}/@Element",
            **error.element(request_id, utc_text(now)),
        },
        error.status,
    )


def _stamped(response: Response, item: Resource, location: str | None = None) -> Response:
    response.headers["ETag"] = item.etag
    response.headers["Last-Modified"] = http_date(parse_utc(item.modified))
    if location is not None:
        response.headers["Location"] = response.headers["DataServiceId"] = location
    return response


def _bare(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"')


def _http_moment(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError as error:
        raise WireError("InvalidHeaderValue", HeaderValue=text) from error


def _conditions(request: Request, item: Resource) -> bool:
    """Check the request's conditions; return whether a reader already has this version.

    Raises:
        WireError: ConditionNotMet.
    """
    headers = request.headers
    modified = parse_utc(item.modified).replace(microsecond=0)  # HTTP dates have whole seconds
    wanted, unwanted = headers.get("If-Match"), headers.get("If-None-Match")
    since, until = headers.get("If-Modified-Since"), headers.get("If-Unmodified-Since")
    if wanted is not None and _bare(wanted) not in {"*", item.etag}:
        raise WireError("ConditionNotMet")
    if until is not None and modified > _http_moment(until):
        raise WireError("ConditionNotMet")
    same = (unwanted is not None and _bare(unwanted) in {"*", item.etag}) or (
        since is not None and modified <= _http_moment(since)
    )
    if same and request.method not in {"GET", "HEAD"}:
        raise WireError("ConditionNotMet")
    return same


def _one(request: Request, kind: str, item: Resource, document: JsonObject) -> Response:
    if _conditions(request, item):
        return _stamped(Response(status=304), item)
    select = parse_select(request.args.get("$select"), _selectable(kind, [document]))
    response = _json(
        {"odata.metadata": f"{_base(request)}/$metadata#{kind}/@Element", **select(document)},
    )
    return _stamped(response, item)


_OPTIONAL = {
    "tasks": {
        "displayName",
        "previousState",
        "previousStateTransitionTime",
        "nodeInfo",
        "environmentSettings",
        "resourceFiles",
        "containerSettings",
        "exitConditions",
        "dependsOn",
        "userIdentity",
        "affinityInfo",
        "stats",
    },
    "jobs": {
        "displayName",
        "previousState",
        "previousStateTransitionTime",
        "metadata",
        "commonEnvironmentSettings",
        "stats",
    },
    "pools": {"displayName", "metadata", "virtualMachineConfiguration", "stats"},
}
_REQUIRED = {
    "tasks": {item.partition("/")[0] for item in TASK_PROPERTIES},
    "jobs": {item.partition("/")[0] for item in JOB_PROPERTIES} | {"onAllTasksComplete", "onTaskFailure"},
    "pools": {item.partition("/")[0] for item in POOL_PROPERTIES},
    "files": {"name", "url", "isDirectory", "properties"},
}


def _selectable(kind: str, documents: Iterable[JsonObject]) -> set[str]:
    names = _REQUIRED.get(kind, set()) | _OPTIONAL.get(kind, set())
    return names.union(*documents)


def _page(request: Request, kind: str, items: list[tuple[int, JsonObject]], properties: frozenset[str]) -> Response:
    """Answer with one page of `(sequence, document)` items, and the link to the next one."""
    text = request.args.get("maxresults")
    size = int(text) if text and text.isdecimal() else _MAX_PAGE if text is None else 0
    if not 1 <= size <= _MAX_PAGE:
        raise WireError("OutOfRangeQueryParameterValue", QueryParameterName="maxresults")
    token = request.args.get("$skiptoken", "0")
    if not token.isdecimal():
        raise WireError("InvalidQueryParameterValue", QueryParameterName="$skiptoken")
    passes = parse_filter(request.args.get("$filter"), properties)
    select = parse_select(request.args.get("$select"), _selectable(kind, (document for _, document in items)))
    found = [item for item in items if item[0] > int(token) and passes(item[1])]
    page = found[:size]
    document: JsonObject = {
        "odata.metadata": f"{_base(request)}/$metadata#{kind}",
        "value": [select(item) for _, item in page],
    }
    if len(found) > size:
        query = request.args.to_dict() | {"$skiptoken": str(page[-1][0])}
        document["odata.nextLink"] = f"{request.base_url}?{urlencode(query)}"
    return _json(document)
