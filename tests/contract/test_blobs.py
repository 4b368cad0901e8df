"""One contract for blobs, kept by the fake and by the adapter over real storage."""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.storage.blob import BlobServiceClient

from shared.adapters.blobs import BLOCK_BYTES, AzureBlobs
from shared.adapters.storage_errors import translated
from shared.domain.markers import OutputFile
from shared.errors import PermanentError, PipelineError, TransientError
from shared.naming import DATA_CONTAINERS, BlobRef, Container
from shared.ports import BlobStore
from tests.contract.node_fixtures import Azurite
from tests.fakes import FakeBlobs

BIG = bytes(range(256)) * 4096 * 9  # 9 MiB: more than one block


@pytest.fixture(scope="module")
def azure_blobs(azurite: Azurite) -> Iterator[AzureBlobs]:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        for container in DATA_CONTAINERS:
            try:
                service.create_container(container)
            except ResourceExistsError:
                continue
    store = AzureBlobs.connect(azurite.connection_string)
    yield store
    store._service.close()


@pytest.fixture(params=["fake", pytest.param("azurite", marks=pytest.mark.contract)])
def blobs(request: pytest.FixtureRequest) -> BlobStore:
    if request.param == "fake":
        return FakeBlobs(lambda: datetime.now(UTC))
    store: BlobStore = request.getfixturevalue("azure_blobs")
    return store


@pytest.fixture
def home() -> str:
    """A prefix of the test's own: the storage is shared."""
    return f"{uuid.uuid4().hex}/"


def at(home: str, name: str) -> BlobRef:
    return BlobRef(Container.WORK, home + name)


def write(blobs: BlobStore, ref: BlobRef, data: bytes) -> OutputFile:
    with blobs.writer(ref) as stream:
        stream.write(data)
    return stream.output()


# --- small blobs -------------------------------------------------------------------------------------------


def test_a_blob_is_created_once_and_never_overwritten(blobs: BlobStore, home: str) -> None:
    assert blobs.create(at(home, "a.json"), b"first")
    assert not blobs.create(at(home, "a.json"), b"second")
    assert blobs.read(at(home, "a.json")) == b"first"


def test_facts_tell_size_md5_and_time(blobs: BlobStore, home: str) -> None:
    before = datetime.now(UTC)
    blobs.create(at(home, "a.json"), b"abc")
    facts = blobs.facts(at(home, "a.json"))
    assert facts is not None
    assert (facts.ref, facts.size) == (at(home, "a.json"), 3)
    assert facts.content == f"md5:{hashlib.md5(b'abc', usedforsecurity=False).hexdigest()}"
    assert facts.etag
    assert '"' not in facts.etag
    assert facts.tier == "hot"
    assert facts.modified.tzinfo is not None
    assert abs(facts.modified - before) < timedelta(seconds=5)  # the storage's times have whole seconds


def test_another_content_has_another_etag(blobs: BlobStore, home: str) -> None:
    write(blobs, at(home, "a"), b"old")
    old = blobs.facts(at(home, "a"))
    write(blobs, at(home, "a"), b"new")
    new = blobs.facts(at(home, "a"))
    assert old is not None
    assert new is not None
    assert old.etag != new.etag


def test_a_listing_has_the_facts_of_the_prefix_in_order_of_name(blobs: BlobStore, home: str) -> None:
    for name in ("b/2", "a", "b/10", "b-x", "c"):
        blobs.create(at(home, name), name.encode())
    found = list(blobs.list(Container.WORK, home + "b"))
    assert [facts.ref.name.removeprefix(home) for facts in found] == ["b-x", "b/10", "b/2"]
    assert found == [blobs.facts(facts.ref) for facts in found]
    assert list(blobs.list(Container.WORK, home + "none")) == []


def test_folders_are_those_directly_below_the_prefix(blobs: BlobStore, home: str) -> None:
    for name in ("b/2", "b/3/4", "a/1", "loose"):
        blobs.create(at(home, name), b"x")
    assert list(blobs.folders(Container.WORK, home)) == [f"{home}a/", f"{home}b/"]
    assert list(blobs.folders(Container.WORK, home + "b/")) == [f"{home}b/3/"]


def test_a_missing_blob_is_none_to_look_at_and_an_error_to_read(blobs: BlobStore, home: str) -> None:
    ref = at(home, "none")
    assert blobs.facts(ref) is None
    assert blobs.find(ref) is None
    with pytest.raises(PermanentError, match="is not there"):
        blobs.read(ref)
    with pytest.raises(PermanentError, match=r"is not there any more\. Upload it again"):
        blobs.open(ref)
    with pytest.raises(PermanentError, match="is not there"):
        blobs.set_tier(ref, "Cool")


def test_an_empty_blob_is_there(blobs: BlobStore, home: str) -> None:
    blobs.create(at(home, "empty"), b"")
    assert blobs.find(at(home, "empty")) == b""
    with blobs.open(at(home, "empty")) as stream:
        assert stream.read() == b""


def test_names_with_unusual_characters_are_kept(blobs: BlobStore, home: str) -> None:
    ref = at(home, "NA 1/50%#?ä+.json")
    blobs.create(ref, b"x")
    assert blobs.read(ref) == b"x"
    assert [facts.ref for facts in blobs.list(Container.WORK, home)] == [ref]


def test_removing_twice_is_success(blobs: BlobStore, home: str) -> None:
    blobs.create(at(home, "a"), b"x")
    blobs.remove(at(home, "a"))
    blobs.remove(at(home, "a"))
    assert blobs.facts(at(home, "a")) is None


def test_deleting_a_folder_takes_all_below_it_and_nothing_beside_it(blobs: BlobStore, home: str) -> None:
    for name in ("a/1", "a/b/2", "ab"):
        blobs.create(at(home, name), b"x")
    assert blobs.delete(Container.WORK, home + "a/") == 2
    assert blobs.delete(Container.WORK, home + "a/") == 0
    assert [facts.ref for facts in blobs.list(Container.WORK, home)] == [at(home, "ab")]


def test_a_moved_tier_changes_nothing_else(blobs: BlobStore, home: str) -> None:
    write(blobs, at(home, "a"), b"x")
    before = blobs.facts(at(home, "a"))
    blobs.set_tier(at(home, "a"), "Cool")
    after = blobs.facts(at(home, "a"))
    assert before is not None
    assert after is not None
    assert (after.tier, after.content, after.etag) == ("cool", before.content, before.etag)
    assert blobs.read(at(home, "a")) == b"x"


def test_a_url_names_the_blob_and_holds_no_credential(blobs: BlobStore, home: str) -> None:
    url = blobs.url(at(home, "a.json"))
    assert url.endswith(f"/work/{home}a.json")
    assert "?" not in url


# --- streams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(BIG)])
def test_a_written_blob_is_whole_and_has_its_md5(blobs: BlobStore, home: str, size: int) -> None:
    data = BIG[:size]
    with blobs.writer(at(home, "big.gz")) as stream:
        for begin in range(0, size, 3_000_000):
            stream.write(data[begin : begin + 3_000_000])
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert stream.output() == OutputFile(container="work", name=at(home, "big.gz").name, size=size, md5=md5)
    facts = blobs.facts(at(home, "big.gz"))
    assert facts is not None
    assert (facts.size, facts.md5) == (size, md5)
    with blobs.open(at(home, "big.gz"), f"md5:{md5}") as source:
        assert source.read() == data


def test_nothing_appears_when_the_writer_fails(blobs: BlobStore, home: str) -> None:
    def fail_after(data: bytes) -> None:
        with blobs.writer(at(home, "torn")) as stream:
            stream.write(data)
            raise RuntimeError("the disk is full")

    for data in (b"small", BIG):
        with pytest.raises(RuntimeError, match="the disk is full"):
            fail_after(data)
        assert blobs.facts(at(home, "torn")) is None
        assert list(blobs.list(Container.WORK, home)) == []


def test_a_failed_writer_leaves_the_blob_as_it_was(blobs: BlobStore, home: str) -> None:
    write(blobs, at(home, "a"), b"old")

    def overwrite() -> None:
        with blobs.writer(at(home, "a")) as stream:
            stream.write(BIG)
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        overwrite()
    assert blobs.read(at(home, "a")) == b"old"


def test_a_file_is_uploaded_and_fetched_back_the_same(blobs: BlobStore, home: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(BIG)
    output = blobs.upload(at(home, "a.bam"), tmp_path / "out")
    blobs.download(output, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == BIG


@pytest.mark.parametrize("wrong", [{"size": 4}, {"md5": "0" * 32}])
def test_a_download_that_does_not_fit_its_marker_is_tried_again(
    blobs: BlobStore, home: str, tmp_path: Path, wrong: dict[str, object]
) -> None:
    output = write(blobs, at(home, "a"), b"abc").model_copy(update=wrong)
    with pytest.raises(TransientError, match="its marker says"):
        blobs.download(output, tmp_path / "back")


def test_a_blob_that_was_replaced_since_is_not_opened(blobs: BlobStore, home: str) -> None:
    write(blobs, at(home, "a"), b"old")
    facts = blobs.facts(at(home, "a"))
    assert facts is not None
    blobs.open(at(home, "a"), facts.content).close()
    write(blobs, at(home, "a"), b"new")
    with pytest.raises(PermanentError, match="was replaced after the analysis was planned"):
        blobs.open(at(home, "a"), facts.content)


def test_the_head_of_a_blob_is_read_if_it_is_the_one_that_was_listed(blobs: BlobStore, home: str) -> None:
    for data in (BIG, b"short", b""):
        write(blobs, at(home, "a"), data)
        (facts,) = blobs.list(Container.WORK, home)
        assert blobs.head(facts.ref, 1000, facts.content) == data[:1000]
        write(blobs, at(home, "a"), b"another one")
        with pytest.raises(TransientError, match="has changed since its folder was listed"):
            blobs.head(facts.ref, 1000, facts.content)
    with pytest.raises(TransientError, match="has changed"):
        blobs.head(at(home, "none"), 1000, facts.content)


@pytest.mark.parametrize("start", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, len(BIG) - 1, len(BIG), len(BIG) + 1])
def test_a_blob_is_read_from_any_byte_on(blobs: BlobStore, home: str, start: int) -> None:
    write(blobs, at(home, "a"), BIG)
    facts = blobs.facts(at(home, "a"))
    assert facts is not None
    with blobs.open(at(home, "a"), facts.content, start) as stream:
        assert stream.read(10) == BIG[start : start + 10]
        assert stream.read() == BIG[start + 10 :]


@pytest.mark.parametrize(
    ("is_pinned", "error"),
    [
        (True, PermanentError),  # an input: the new file is another analysis's
        (False, TransientError),  # an intermediate: a second run of the same work wrote it again
    ],
)
def test_a_blob_that_is_replaced_in_the_middle_of_reading_is_not_read_on(
    blobs: BlobStore, home: str, is_pinned: bool, error: type[PipelineError]
) -> None:
    write(blobs, at(home, "a"), BIG)
    facts = blobs.facts(at(home, "a"))
    assert facts is not None
    with blobs.open(at(home, "a"), facts.content if is_pinned else None) as stream:
        assert stream.read(10) == BIG[:10]
        write(blobs, at(home, "a"), BIG[::-1])
        with pytest.raises(error, match="was replaced while it was read"):
            stream.read(len(BIG))


@pytest.mark.contract
def test_a_whole_blob_is_read_in_blocks_and_not_in_a_thousand_requests(azurite: Azurite, home: str) -> None:
    seen: list[str] = []

    class Counting(RequestsTransport):  # type: ignore[misc]  # the SDK's transports have no types
        def send(self, request: HttpRequest, **kwargs: object) -> HttpResponse:
            seen.append(request.method)
            response: HttpResponse = super().send(request, **kwargs)
            return response

    with BlobServiceClient.from_connection_string(
        azurite.connection_string, transport=Counting(), max_single_get_size=BLOCK_BYTES
    ) as service:
        store = AzureBlobs(service)
        write(store, at(home, "a"), BIG)
        seen.clear()
        with store.open(at(home, "a")) as stream:
            assert stream.read(3) == BIG[:3]
            assert stream.read() == BIG[3:]
    assert seen.count("GET") == 2


# --- claims ------------------------------------------------------------------------------------------------


def test_a_claim_is_held_by_one_and_free_again_after(blobs: BlobStore, home: str) -> None:
    ref = at(home, "claims/split")
    with blobs.claim(ref) as mine:
        with blobs.claim(ref) as other:
            assert (mine, other) == (True, False)
        with blobs.claim(ref) as third:  # the one that was refused has not freed it
            assert not third
        with blobs.claim(at(home, "claims/gather")) as elsewhere:
            assert elsewhere
    with blobs.claim(ref) as again:
        assert again


def test_a_claim_is_free_again_after_the_work_failed(blobs: BlobStore, home: str) -> None:
    ref = at(home, "claims/split")

    def work() -> None:
        with blobs.claim(ref):
            raise RuntimeError("it broke")

    with pytest.raises(RuntimeError, match="it broke"):
        work()
    with blobs.claim(ref) as again:
        assert again


# --- the adapter alone -------------------------------------------------------------------------------------


def _answer(status: int, error: type[HttpResponseError] = HttpResponseError) -> HttpResponseError:
    raised = error("the service's words")
    raised.status_code = status
    raised.reason = "some reason"
    return raised


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (
            _answer(404, ResourceNotFoundError),
            PermanentError,
            r"Could not read work/a: it is not there \(some reason\)",
        ),
        (_answer(400), PermanentError, "the service answered 400 some reason"),
        (_answer(413), PermanentError, "the service answered 413"),  # too large now is too large later
        (_answer(401, ClientAuthenticationError), TransientError, "access denied. Check the roles"),
        (_answer(403), TransientError, "access denied. Check the roles"),  # a role may not be in force yet
        (_answer(409), TransientError, "the service answered 409"),
        (_answer(412), TransientError, "the service answered 412"),
        (_answer(500), TransientError, "the service answered 500"),
        (_answer(503), TransientError, "the service answered 503"),
        (ServiceRequestError("no route"), TransientError, r"was not reached \(ServiceRequestError\)"),
    ],
)
def test_errors_of_the_sdk_become_the_two_kinds_of_failure(
    raised: AzureError, kind: type[PipelineError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught, translated("read work/a"):
        raise raised
    assert caught.value.__cause__ is raised


def test_other_errors_are_not_touched() -> None:
    with pytest.raises(PermanentError, match=r"^mine$"), translated("read work/a"):
        raise PermanentError("mine")
    with pytest.raises(KeyError), translated("read work/a"):
        raise KeyError("x")


class _LeasedFirst(RequestsTransport):  # type: ignore[misc]  # the SDK's transports have no types
    """Answers a conditional Put Blob on a leased blob as the service may: the lease before the condition."""

    def send(self, request: HttpRequest, **kwargs: object) -> HttpResponse:
        response: HttpResponse = super().send(request, **kwargs)
        if request.method == "PUT" and response.status_code == 409 and request.headers.get("If-None-Match") == "*":
            response.status_code = 412  # type: ignore[misc]  # settable on this transport's answers
            response.headers["x-ms-error-code"] = "LeaseIdMissing"
        return response


@pytest.mark.contract
def test_creating_a_blob_that_is_leased_is_as_creating_one_that_exists(azurite: Azurite, home: str) -> None:
    with BlobServiceClient.from_connection_string(
        azurite.connection_string, transport=_LeasedFirst(), retry_total=0
    ) as service:
        store = AzureBlobs(service)
        with store.claim(at(home, "claim")) as mine, store.claim(at(home, "claim")) as other:
            assert (mine, other) == (True, False)


@pytest.mark.contract
def test_of_two_writers_at_once_one_wins_whole_and_the_other_is_told_to_try_again(
    azure_blobs: AzureBlobs, home: str
) -> None:
    def write_while_another_writes() -> None:
        with azure_blobs.writer(at(home, "a")) as stream:
            stream.write(BIG)
            write(azure_blobs, at(home, "a"), BIG[::-1])  # its commit drops the blocks that this one staged

    with pytest.raises(TransientError, match="another writer committed first"):
        write_while_another_writes()
    assert azure_blobs.read(at(home, "a")) == BIG[::-1]


def test_without_an_endpoint_the_message_says_what_to_set() -> None:
    with pytest.raises(PermanentError, match="set a connection string or NAME__blobServiceUri"):
        AzureBlobs.connect()


@pytest.mark.contract
def test_a_service_that_is_away_is_a_transient_failure() -> None:
    uri = "http://127.0.0.1:9/devstoreaccount1"
    with BlobServiceClient(uri, retry_total=0) as service, pytest.raises(TransientError, match="was not reached"):
        AzureBlobs(service).facts(BlobRef(Container.WORK, "a"))
