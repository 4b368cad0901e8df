"""Request bodies checked: a document that passes can be kept and run as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from infra.local.batch_service.wire import JsonObject, WireError, parse_duration

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

JOB_UNSUPPORTED = ("jobManagerTask", "jobPreparationTask", "jobReleaseTask", "networkConfiguration")
TASK_UNSUPPORTED = ("multiInstanceSettings", "outputFiles", "applicationPackageReferences")
POOL_UNSUPPORTED = ("startTask", "applicationPackageReferences", "mountConfiguration")

PATCHABLE_JOB = (
    "priority",
    "maxParallelTasks",
    "allowTaskPreemption",
    "constraints",
    "poolInfo",
    "onAllTasksComplete",
    "metadata",
)


def invalid(name: str, value: object, reason: str) -> WireError:
    """Return the error for a property with a bad value."""
    return WireError("InvalidPropertyValue", PropertyName=name, PropertyValue=str(value), Reason=reason)


def _missing(name: str) -> WireError:
    return WireError("MissingRequiredProperty", PropertyName=name)


def _refuse_unsupported(document: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if document.get(name):
            raise WireError("UnsupportedProperty", PropertyName=name, Reason="this local Batch service does not run it")


def _object(document: object, name: str) -> JsonObject:
    if not isinstance(document, dict):
        raise WireError("InvalidRequestBody", PropertyName=name, Reason="a JSON object is needed")
    return document


def _id(document: Mapping[str, Any]) -> None:
    value = document.get("id")
    if value is None:
        raise _missing("id")
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise invalid("id", value, "an id has 1 to 64 letters, digits, - and _")


def _enum(document: Mapping[str, Any], name: str, allowed: Iterable[str]) -> None:
    value = document.get(name)
    if value is not None and value not in allowed:
        raise invalid(name, value, f"use one of {', '.join(allowed)}")


def _int(document: Mapping[str, Any], name: str, low: int, high: int) -> None:
    value = document.get(name)
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise invalid(name, value, f"a whole number from {low} to {high} is needed")


def _constraints(document: Mapping[str, Any]) -> None:
    limits = _object(document.get("constraints") or {}, "constraints")
    for name in ("maxWallClockTime", "retentionTime"):
        text = limits.get(name)
        if text is None:
            continue
        try:
            parse_duration(str(text))
        except ValueError as error:
            raise invalid(name, text, str(error)) from error
    count = limits.get("maxTaskRetryCount")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < -1):
        raise WireError(
            "InvalidConstraintValue",
            PropertyName="maxTaskRetryCount",
            PropertyValue=str(count),
            Reason="0 or more, or -1 for no limit",
        )


def _environment(document: Mapping[str, Any], name: str) -> None:
    for setting in document.get(name) or ():
        key = _object(setting, name).get("name")
        if not isinstance(key, str) or not key or "=" in key or "\0" in key:
            raise invalid(name, key, "an environment variable needs a name without =")


def job(document: object) -> JsonObject:
    """Return a job document that may be created.

    Raises:
        WireError: What is missing, wrong, or not run by this service.
    """
    spec = _object(document, "job")
    _id(spec)
    job_changes(spec)
    if spec.get("poolInfo") is None:
        raise _missing("poolInfo")
    _refuse_unsupported(spec, JOB_UNSUPPORTED)
    _enum(spec, "onTaskFailure", ("noaction", "performexitoptionsjobaction"))
    _environment(spec, "commonEnvironmentSettings")
    return spec


def job_changes(document: object) -> JsonObject:
    """Return the properties of a job that a PATCH or PUT may change, checked.

    Raises:
        WireError: What is wrong.
    """
    spec = _object(document, "job")
    priority = spec.get("priority")
    if isinstance(priority, int) and not -1000 <= priority <= 1000:
        raise WireError("OutOfRangePriority", PropertyName="priority", PropertyValue=str(priority))
    _int(spec, "priority", -1000, 1000)
    _int(spec, "maxParallelTasks", -1, 2**31 - 1)
    _constraints(spec)
    _enum(spec, "onAllTasksComplete", ("noaction", "terminatejob"))
    pool_info = spec.get("poolInfo")
    if pool_info is not None:
        if _object(pool_info, "poolInfo").get("autoPoolSpecification"):
            raise WireError(
                "UnsupportedProperty",
                PropertyName="autoPoolSpecification",
                Reason="this local Batch service makes no auto pools; create a pool and give its poolId",
            )
        if not isinstance(pool_info.get("poolId"), str):
            raise _missing("poolInfo.poolId")
    return {name: spec[name] for name in PATCHABLE_JOB if spec.get(name) is not None}


def _resource_file(document: object) -> None:
    item = _object(document, "resourceFiles")
    sources = [name for name in ("httpUrl", "storageContainerUrl", "autoStorageContainerName") if item.get(name)]
    if len(sources) != 1:
        raise invalid("resourceFiles", sources, "exactly one of httpUrl, storageContainerUrl, autoStorageContainerName")
    if sources != ["httpUrl"]:
        raise WireError(
            "UnsupportedProperty",
            PropertyName=f"resourceFiles.{sources[0]}",
            Reason="this local Batch service downloads single files only; use httpUrl",
        )
    if urlsplit(str(item["httpUrl"])).scheme not in {"http", "https"}:
        raise invalid("httpUrl", item["httpUrl"], "an http or https URL is needed")
    path = item.get("filePath")
    if not path:
        raise _missing("resourceFiles.filePath")
    parts = PurePosixPath(str(path))
    if parts.is_absolute() or ".." in parts.parts:
        raise invalid("filePath", path, "the path must stay below the task's working directory")
    mode = item.get("fileMode")
    if mode is not None and re.fullmatch(r"[0-7]{3,4}", str(mode)) is None:
        raise invalid("fileMode", mode, "an octal mode like 0770 is needed")


def _dependencies(document: Mapping[str, Any]) -> None:
    depends = document.get("dependsOn")
    if depends is None:
        return
    depends = _object(depends, "dependsOn")
    for given in depends.get("taskIdRanges") or ():
        item = _object(given, "taskIdRanges")
        start, end = item.get("start"), item.get("end")
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start <= end:
            raise invalid("taskIdRanges", item, "start and end are whole numbers, start not after end")


def _exit_conditions(document: Mapping[str, Any]) -> None:
    conditions = _object(document.get("exitConditions") or {}, "exitConditions")
    options = [conditions.get(name) for name in ("preProcessingError", "fileUploadError", "default")]
    for name, needed in (("exitCodes", ("code",)), ("exitCodeRanges", ("start", "end"))):
        for given in conditions.get(name) or ():
            mapping = _object(given, name)
            for part in needed:
                if not isinstance(mapping.get(part), int):
                    raise _missing(f"{name}.{part}")
            options.append(_object(mapping.get("exitOptions"), f"{name}.exitOptions"))
    for option in options:
        if option is not None:
            _enum(_object(option, "exitOptions"), "jobAction", ("none", "disable", "terminate"))
            _enum(option, "dependencyAction", ("satisfy", "block"))


def task(document: object) -> JsonObject:
    """Return a task document that may be added.

    Raises:
        WireError: What is missing, wrong, or not run by this service.
    """
    spec = _object(document, "task")
    _id(spec)
    command = spec.get("commandLine")
    if command is None:
        raise _missing("commandLine")
    if not isinstance(command, str) or not command.strip():
        raise invalid("commandLine", command, "a command line is needed")
    _refuse_unsupported(spec, TASK_UNSUPPORTED)
    _int(spec, "requiredSlots", 1, 256)
    _constraints(spec)
    _environment(spec, "environmentSettings")
    for item in spec.get("resourceFiles") or ():
        _resource_file(item)
    _dependencies(spec)
    _exit_conditions(spec)
    settings = spec.get("containerSettings")
    if settings is not None and not _object(settings, "containerSettings").get("imageName"):
        raise _missing("containerSettings.imageName")
    return spec


def task_constraints(document: object) -> JsonObject:
    """Return the constraints of a task update.

    Raises:
        WireError: What is wrong.
    """
    spec = _object(document, "task")
    _constraints(spec)
    return dict(spec.get("constraints") or {})


def pool(document: object) -> JsonObject:
    """Return a pool document that may be created.

    Raises:
        WireError: What is missing, wrong, or not run by this service.
    """
    spec = _object(document, "pool")
    _id(spec)
    if not spec.get("vmSize"):
        raise _missing("vmSize")
    _refuse_unsupported(spec, POOL_UNSUPPORTED)
    _int(spec, "taskSlotsPerNode", 1, 256)
    resize(spec)
    if spec.get("enableAutoScale"):
        if not spec.get("autoScaleFormula"):
            raise _missing("autoScaleFormula")
        for name in ("targetDedicatedNodes", "targetLowPriorityNodes"):
            if spec.get(name) is not None:
                raise invalid(name, spec[name], "an autoscaled pool has no target")
    return spec


def resize(document: object) -> JsonObject:
    """Return the targets of a pool resize.

    Raises:
        WireError: What is wrong.
    """
    spec = _object(document, "pool")
    _int(spec, "targetDedicatedNodes", 0, 10_000)
    _int(spec, "targetLowPriorityNodes", 0, 10_000)
    _enum(spec, "nodeDeallocationOption", ("requeue", "terminate", "taskcompletion", "retaineddata"))
    return spec
