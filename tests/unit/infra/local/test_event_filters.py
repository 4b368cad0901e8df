"""Event Grid's filter semantics, as tables; and the subscriptions that are deployed."""

import json

import pytest

from infra.local.event_filters import load_subscriptions, parse_filter, parse_subscription
from infra.local.relay.service import DEFAULT_SUBSCRIPTIONS
from shared.domain.ids import AnalysisId
from shared.errors import PermanentError
from shared.formats.events import BLOB_CREATED, DeliverySchema
from shared.naming import Queue, plan_blob

EVENT = {
    "topic": "/storageAccounts/a",
    "subject": "/blobServices/default/containers/work/blobs/A1/chunks/RG/00001.json",
    "eventType": BLOB_CREATED,
    "data": {"api": "PutBlob", "contentLength": 10, "deep": {"flag": True}, "nothing": None},
}
CLOUD = {"source": EVENT["topic"], "subject": EVENT["subject"], "type": BLOB_CREATED, "data": EVENT["data"]}


def advanced(operator, key, values):
    name = "value" if not isinstance(values, list) else "values"
    stored = {"operatorType": operator, "key": key, name: values}
    return parse_filter({"advancedFilters": [stored]})


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, True),
        ({"includedEventTypes": None}, True),
        ({"includedEventTypes": [BLOB_CREATED]}, True),
        ({"includedEventTypes": [BLOB_CREATED.upper()]}, True),
        ({"includedEventTypes": ["Microsoft.Storage.BlobDeleted"]}, False),
        ({"includedEventTypes": []}, False),
        ({"subjectBeginsWith": "/blobServices/default/containers/work/"}, True),
        ({"subjectBeginsWith": "/BLOBSERVICES/default/containers/WORK/"}, True),
        ({"subjectBeginsWith": "/BLOBSERVICES", "isSubjectCaseSensitive": True}, False),
        ({"subjectBeginsWith": "/blobServices/default/containers/landing/"}, False),
        ({"subjectEndsWith": ".JSON"}, True),
        ({"subjectEndsWith": ".JSON", "isSubjectCaseSensitive": True}, False),
        ({"subjectEndsWith": ".bam"}, False),
        ({"subjectBeginsWith": None, "subjectEndsWith": None}, True),
        # both must hold
        ({"subjectBeginsWith": "/blobServices", "subjectEndsWith": ".bam"}, False),
    ],
)
def test_type_and_subject(stored, expected):
    assert parse_filter(stored).matches(EVENT) is expected
    assert parse_filter(stored).matches(CLOUD) is expected


@pytest.mark.parametrize(
    ("operator", "key", "values", "expected"),
    [
        ("StringContains", "subject", ["/chunks/"], True),
        ("StringContains", "Subject", ["/CHUNKS/"], True),
        ("StringContains", "subject", ["/aligned/", "/chunks/"], True),
        ("StringContains", "subject", ["/aligned/"], False),
        ("StringNotContains", "subject", ["/aligned/"], True),
        ("StringNotContains", "subject", ["/aligned/", "/chunks/"], False),
        ("StringBeginsWith", "subject", ["/BLOB"], True),
        ("StringNotBeginsWith", "subject", ["/blob"], False),
        ("StringEndsWith", "subject", [".json"], True),
        ("StringNotEndsWith", "subject", [".json", ".bam"], False),
        ("StringIn", "data.api", ["putblob"], True),
        ("StringIn", "data.api", ["putblo"], False),
        ("StringNotIn", "data.api", ["CreateFile"], True),
        ("NumberIn", "data.contentLength", [1, 10], True),
        ("NumberNotIn", "data.contentLength", [1, 10], False),
        ("NumberLessThan", "data.contentLength", 10, False),
        ("NumberLessThanOrEquals", "data.contentLength", 10, True),
        ("NumberGreaterThan", "data.contentLength", 9.5, True),
        ("NumberGreaterThanOrEquals", "data.contentLength", 11, False),
        ("NumberInRange", "data.contentLength", [[0, 5], [10, 12]], True),
        ("NumberNotInRange", "data.contentLength", [[0, 10]], False),
        ("BoolEquals", "data.deep.flag", True, True),
        ("BoolEquals", "data.deep.flag", False, False),
        # a missing attribute, or one of another kind: only the "Not" operators match
        ("StringContains", "data.missing", ["x"], False),
        ("StringNotContains", "data.missing", ["x"], True),
        ("StringNotIn", "data.contentLength", ["10"], True),
        ("NumberIn", "data.api", [1], False),
        ("NumberNotIn", "data.missing", [1], True),
        ("NumberGreaterThan", "data.deep.flag", 0, False),
        ("BoolEquals", "data.api", True, False),
        # an attribute under the other schema's name
        ("StringIn", "eventType", [BLOB_CREATED], True),
        ("StringIn", "type", [BLOB_CREATED], True),
        ("StringEndsWith", "source", ["/a"], True),
        ("StringEndsWith", "topic", ["/a"], True),
    ],
)
def test_advanced_filters(operator, key, values, expected):
    one = advanced(operator, key, values)
    assert one.matches(EVENT) is expected
    assert one.matches(CLOUD) is expected


@pytest.mark.parametrize(
    ("operator", "key", "expected"),
    [
        ("IsNullOrUndefined", "data.nothing", True),
        ("IsNullOrUndefined", "data.missing", True),
        ("IsNullOrUndefined", "data.api", False),
        ("IsNotNull", "data.nothing", False),
        ("IsNotNull", "data.api", True),
    ],
)
def test_null_checks(operator, key, expected):
    assert parse_filter({"advancedFilters": [{"operatorType": operator, "key": key}]}).matches(EVENT) is expected


def test_all_advanced_filters_must_hold():
    contains = {"operatorType": "StringContains", "key": "subject", "values": ["/chunks/"]}
    other = {"operatorType": "StringContains", "key": "subject", "values": ["/aligned/"]}
    assert parse_filter({"advancedFilters": [contains, contains]}).matches(EVENT)
    assert not parse_filter({"advancedFilters": [contains, other]}).matches(EVENT)


def test_a_subject_alone_rules_out_but_conditions_on_data_wait_for_the_blob():
    by_data = advanced("NumberGreaterThan", "data.contentLength", 100)
    assert by_data.may_match(BLOB_CREATED, EVENT["subject"])
    assert not by_data.matches(EVENT)
    assert not advanced("StringContains", "subject", ["/aligned/"]).may_match(BLOB_CREATED, EVENT["subject"])


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        ({"operatorType": "StringLike", "key": "subject", "values": ["x"]}, "StringLike"),
        ({"operatorType": "StringContains", "key": "subject", "values": "x"}, "needs a list"),
        ({"operatorType": "StringContains", "key": "subject", "values": []}, "needs a list"),
        ({"operatorType": "StringContains", "key": "subject", "values": [5]}, "cannot compare"),
        ({"operatorType": "StringContains", "key": "subject", "values": ["x" * 513]}, "longer than 512"),
        ({"operatorType": "NumberInRange", "key": "data.x", "values": [1, 2]}, "pairs of numbers"),
        ({"operatorType": "NumberGreaterThan", "key": "data.x", "value": "1"}, "cannot compare"),
        ({"operatorType": "StringContains", "key": "subject", "values": ["x"] * 26}, "allows 25"),
    ],
)
def test_what_event_grid_would_refuse_is_refused(stored, why):
    with pytest.raises(ValueError, match=why):
        parse_filter({"advancedFilters": [stored]})
    entry = {"name": "a", "container": "c", "queue": "q", "filter": {"advancedFilters": [stored]}}
    with pytest.raises(PermanentError, match="entry 3"):
        parse_subscription(entry, "entry 3")


def test_a_subscription_without_a_queue_is_refused():
    with pytest.raises(PermanentError, match="queue"):
        parse_subscription({"name": "a", "container": "c", "filter": {}}, "here")


def test_two_subscriptions_of_one_name_are_refused(tmp_path):
    entry = {"name": "a", "container": "c", "queue": "q", "filter": {}}
    path = tmp_path / "subscriptions.json"
    path.write_text(json.dumps([entry, entry]))
    with pytest.raises(PermanentError, match="twice"):
        load_subscriptions(path)


@pytest.mark.parametrize("text", ["{}", "[", ""])
def test_a_broken_subscriptions_file_is_refused(tmp_path, text):
    path = tmp_path / "subscriptions.json"
    path.write_text(text)
    with pytest.raises(PermanentError, match=r"subscriptions\.json"):
        load_subscriptions(path)


def queues_of(container, name):
    subject = f"/blobServices/default/containers/{container}/blobs/{name}"
    event = {"eventType": BLOB_CREATED, "subject": subject, "data": {}}
    return {one.queue for one in load_subscriptions(DEFAULT_SUBSCRIPTIONS) if one.filter.matches(event)}


@pytest.mark.parametrize(
    ("container", "name", "queues"),
    [
        ("landing", "S1/S1_S1_L001_R1_001.fastq.gz", {"ingest"}),
        ("landing", "S1/order.json", {"ingest"}),
        ("landing", "trio/cohort.json", {"ingest"}),
        ("work", "A/cohort.json", {"fan-out"}),
        ("work", "A/plan.json", {"split"}),
        ("work", "A/checkpoints/RG/00003.json", {"split"}),
        ("work", "A/chunks/RG/00001.json", {"fan-out"}),
        ("work", "A/chunks/RG/split.json", {"fan-out"}),
        ("work", "A/aligned/RG/00001.json", {"fan-out"}),
        ("work", "A/recalibrated/00001.json", {"fan-out"}),
        ("work", "A/called/00001.json", {"gather"}),
        ("work", "A/failed/call-00001.1.json", {"fail"}),
        ("work", "A/data/chunks/RG/00001.fastq.gz", set()),
        ("work", "A/data/called/00001.vcf.gz", set()),
        ("work", "open/A", set()),
        ("results", "S1/A/gathered.json", {"annotate"}),
        ("results", "S1/A/annotated.json", {"deliver"}),
        ("results", "S1/A/delivered.json", {"archive"}),
        ("results", "S1/A/qc-reported.json", {"archive"}),
        ("results", "trio/A/joined.json", {"archive"}),
        ("results", "S1/A/S1.qc.json", set()),
        ("results", "S1/A/archived.json", set()),
        ("results", "S1/A/S1.vcf.gz", set()),
        ("lake", "variants/_delta_log/0.json", set()),
        ("reference", "toy/manifest.json", set()),
        ("workshop", "A/plan.json", set()),
    ],
)
def test_each_blob_of_the_chain_reaches_its_queue_and_no_other(container, name, queues):
    assert queues_of(container, name) == queues


def test_every_queue_of_the_chain_has_one_subscription_and_cloud_events():
    subscriptions = load_subscriptions(DEFAULT_SUBSCRIPTIONS)
    assert sorted(one.queue for one in subscriptions) == sorted(Queue)
    assert {one.schema for one in subscriptions} == {DeliverySchema.CLOUD_EVENTS}


def test_a_real_plan_blob_reaches_split():
    ref = plan_blob(AnalysisId("a" * 16))
    assert queues_of(ref.container, ref.name) == {"split"}
