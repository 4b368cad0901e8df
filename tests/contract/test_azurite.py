"""What the project relies on in Azurite: the same promises that Azure's storage gives."""

import hashlib
import os
import signal
import time
import uuid
from pathlib import Path
from urllib.request import urlopen

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.queue import QueueServiceClient

from tests.contract.node_fixtures import Azurite, running_azurite

pytestmark = pytest.mark.contract


@pytest.fixture
def container(azurite):
    with BlobServiceClient.from_connection_string(azurite.connection_string) as client:
        yield client.create_container(f"test-{uuid.uuid4().hex}")


def test_a_blob_is_created_only_once_with_if_none_match(container):
    blob = container.get_blob_client("plan.json")
    blob.upload_blob(b"first", overwrite=False)
    with pytest.raises(ResourceExistsError):
        blob.upload_blob(b"second", overwrite=False)
    assert blob.download_blob().readall() == b"first"


def test_a_block_list_is_committed_only_once_with_if_none_match(container):
    blob = container.get_blob_client("big")
    for data in (b"first", b"second"):
        blob.stage_block("MDAx", data)
        if data == b"first":
            blob.commit_block_list(["MDAx"], match_condition=MatchConditions.IfMissing)
        else:
            with pytest.raises(ResourceExistsError):
                blob.commit_block_list(["MDAx"], match_condition=MatchConditions.IfMissing)
    assert blob.download_blob().readall() == b"first"


def test_uncommitted_blocks_are_not_listed_and_not_readable(container):
    container.get_blob_client("torn").stage_block("MDAx", b"half")
    assert list(container.list_blob_names()) == []
    assert not container.get_blob_client("torn").exists()


def test_a_read_can_be_tied_to_the_etag_seen_before(container):
    blob = container.get_blob_client("x")
    etag = blob.upload_blob(b"old")["etag"]
    blob.upload_blob(b"new", overwrite=True)
    with pytest.raises(ResourceModifiedError):
        blob.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)


def test_a_lease_is_held_by_one_and_free_after_release(container):
    blob = container.get_blob_client("lock")
    blob.upload_blob(b"")
    lease = blob.acquire_lease(15)
    with pytest.raises(ResourceExistsError):
        blob.acquire_lease(15)
    lease.release()
    blob.acquire_lease(15).release()


def test_a_leased_blob_is_not_overwritten_without_the_lease(container):
    blob = container.get_blob_client("lock")
    blob.upload_blob(b"mine")
    lease = blob.acquire_lease(15)
    with pytest.raises(HttpResponseError) as refused:
        blob.upload_blob(b"theirs", overwrite=True)
    assert refused.value.status_code == 412
    blob.upload_blob(b"still mine", overwrite=True, lease=lease)
    lease.release()


def test_listing_by_prefix_and_delimiter_shows_folders_and_markers_only(container):
    for name in ("a/1.json", "a/2.json", "a/data/r1.gz", "a/data/r2.gz", "b/1.json"):
        container.upload_blob(name, b"{}")
    assert [item.name for item in container.walk_blobs("a/", delimiter="/")] == ["a/data/", "a/1.json", "a/2.json"]
    assert list(container.list_blob_names(name_starts_with="a/")) == sorted(
        ["a/1.json", "a/2.json", "a/data/r1.gz", "a/data/r2.gz"]
    )


def test_a_blob_put_in_one_request_has_its_md5_in_properties_and_listing(container):
    md5 = hashlib.md5(b"reads", usedforsecurity=False).digest()
    blob = container.get_blob_client("r1.fastq.gz")
    blob.upload_blob(b"reads")
    assert bytes(blob.get_blob_properties().content_settings.content_md5) == md5
    assert [bytes(item.content_settings.content_md5) for item in container.list_blobs()] == [md5]


def test_a_blob_put_in_blocks_has_the_md5_that_the_uploader_sets_and_otherwise_none(container):
    md5 = hashlib.md5(b"reads", usedforsecurity=False).digest()
    for name, settings in (("with", ContentSettings(content_md5=md5)), ("without", None)):
        container.get_blob_client(name).stage_block("MDAx", b"reads")
        container.get_blob_client(name).commit_block_list(["MDAx"], content_settings=settings)
    listed = {item.name: item.content_settings.content_md5 for item in container.list_blobs()}
    assert bytes(listed["with"]) == md5
    assert listed["without"] is None


def test_bytes_that_do_not_fit_their_transport_md5_are_refused(container):
    with pytest.raises(HttpResponseError) as refused:
        container.get_blob_client("torn").upload_blob(b"reads", headers={"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert refused.value.status_code == 400
    assert not container.get_blob_client("torn").exists()


def test_metadata_is_listed_when_asked_for(container):
    container.upload_blob("x", b"1", metadata={"analysis": "abc"})
    assert [item.metadata for item in container.list_blobs(include=["metadata"])] == [{"analysis": "abc"}]


def test_an_archived_blob_is_listed_with_its_tier_and_cannot_be_read(container):
    blob = container.get_blob_client("r1.fastq.gz")
    blob.upload_blob(b"reads")
    blob.set_standard_blob_tier("Archive")
    assert [item.blob_tier for item in container.list_blobs()] == ["Archive"]
    with pytest.raises(HttpResponseError) as refused:
        blob.download_blob()
    assert refused.value.error_code == "BlobArchived"


@pytest.mark.parametrize("tier", ["Cool", "Cold"])
def test_a_blob_in_a_cooler_tier_stays_readable(container, tier):
    blob = container.get_blob_client("x")
    blob.upload_blob(b"reads")
    blob.set_standard_blob_tier(tier)
    assert blob.get_blob_properties().blob_tier == tier
    assert blob.download_blob().readall() == b"reads"


def test_many_blobs_are_deleted_in_one_batch_request(container):
    names = [f"chunks/{number}.gz" for number in range(3)]
    for name in names:
        container.upload_blob(name, b"")
    assert [reply.status_code for reply in container.delete_blobs(*names)] == [202, 202, 202]
    assert list(container.list_blob_names()) == []


def test_a_queue_message_returns_after_its_invisibility_with_a_higher_count(azurite):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        queue = client.create_queue(f"q-{uuid.uuid4().hex}")
        queue.send_message("look again")
        first = queue.receive_message(visibility_timeout=60)
        assert queue.receive_message() is None
        queue.update_message(first, visibility_timeout=0)
        second = queue.receive_message()
        assert (second.content, second.dequeue_count) == ("look again", 2)
        queue.close()


def wait_for_line(azurite: Azurite, part: str) -> str:
    """The log line that contains a text; the line is written when the answer has been sent."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = [line for line in azurite.log_lines() if part in line]
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError(f"no line with {part!r}")


def test_the_access_log_has_one_line_per_blob_request_with_its_status(azurite, container: ContainerClient):
    container.upload_blob("landing/S 1/r1.fastq.gz", b"reads")
    path = f"/devstoreaccount1/{container.container_name}/landing/S%201/r1.fastq.gz"
    assert wait_for_line(azurite, path).endswith(f'"PUT {path} HTTP/1.1" 201 -')
    container.get_blob_client("two").stage_block("MDAx", b"a")
    container.get_blob_client("two").commit_block_list(["MDAx"])
    assert '" 201 ' in wait_for_line(azurite, f"{container.container_name}/two?comp=blocklist")


def test_the_access_log_has_no_queue_requests_and_no_signatures(azurite, container: ContainerClient):
    with QueueServiceClient.from_connection_string(azurite.connection_string) as client:
        client.create_queue(queue := f"q-{uuid.uuid4().hex}")
    blob = container.get_blob_client("x")
    with pytest.raises(OSError, match="403"):
        urlopen(f"{blob.url}?sv=2020-02-10&sig=SECRET%2Bvalue&sp=r")
    line = wait_for_line(azurite, f"{container.container_name}/x?sv=")
    assert "sig=removed&sp=r" in line
    assert not any("SECRET" in text or queue in text for text in azurite.log_lines())


def test_blobs_and_messages_survive_a_restart_and_a_killed_launcher(tmp_path: Path):
    with running_azurite(tmp_path) as first:
        with BlobServiceClient.from_connection_string(first.connection_string) as client:
            client.create_container("work").upload_blob("kept.json", b"{}", metadata={"k": "v"})
        with QueueServiceClient.from_connection_string(first.connection_string) as client:
            client.create_queue("hints").send_message("look again")
        node = children_of(first.process.pid)
        assert len(node) == 1
        first.process.kill()
        first.process.wait()
        # Its input has closed: it saves its state and ends.
        wait_until_gone(node[0])
    with running_azurite(tmp_path) as second:
        with BlobServiceClient.from_connection_string(second.connection_string) as client:
            blob = client.get_blob_client("work", "kept.json")
            assert blob.download_blob().readall() == b"{}"
            assert blob.get_blob_properties().metadata == {"k": "v"}
        with QueueServiceClient.from_connection_string(second.connection_string) as client:
            assert [message.content for message in client.get_queue_client("hints").peek_messages()] == ["look again"]
        node = children_of(second.process.pid)
    wait_until_gone(node[0])


def children_of(process_id: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def wait_until_gone(process_id: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(process_id, 0)
            if Path(f"/proc/{process_id}/stat").read_text().split()[2] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    os.kill(process_id, signal.SIGKILL)
    raise AssertionError(f"process {process_id} is still there")
