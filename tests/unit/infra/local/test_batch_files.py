"""Task files, and what must not be reached through them."""

import pytest

from infra.local.batch_service.files import headers, listing, locate, read
from infra.local.batch_service.wire import WireError


@pytest.fixture
def root(tmp_path):
    directory = tmp_path / "task"
    (directory / "wd").mkdir(parents=True)
    (directory / "stdout.txt").write_text("0123456789")
    (directory / "wd" / "a b.json").write_text("{}")
    (tmp_path / "secret").write_text("state")
    (directory / "wd" / "link").symlink_to(tmp_path / "secret")
    (directory / "wd" / "dangling").symlink_to(tmp_path / "gone")
    return directory


@pytest.mark.parametrize("path", ["stdout.txt", "wd", "wd/a b.json", "wd/../stdout.txt"])
def test_a_file_below_the_task_is_found(root, path):
    assert locate(root, path) == (root / path).resolve()


@pytest.mark.parametrize("path", ["nothing", "../secret", "/etc/passwd", "wd/link", "wd/dangling", "wd/../../secret"])
def test_a_path_or_link_out_of_the_task_is_not_found(root, path):
    with pytest.raises(WireError) as caught:
        locate(root, path)
    assert caught.value.code == "FileNotFound"


def test_files_are_listed_in_order_with_a_properties_object(root):
    found = {item["name"]: item for item in listing(root, "http://h/files", recursive=True)}
    assert list(found) == ["stdout.txt", "wd", "wd/a b.json", "wd/link"]  # a dangling link has nothing to tell
    assert found["stdout.txt"]["properties"]["contentLength"] == "10"
    assert found["wd"]["isDirectory"] is True
    assert found["wd/a b.json"]["url"] == "http://h/files/wd/a%20b.json"
    assert [item["name"] for item in listing(root, "http://h/files", recursive=False)] == ["stdout.txt", "wd"]


def test_a_part_of_a_file_is_read_and_a_cut_file_ends_early(root):
    assert b"".join(read(root / "stdout.txt", 4, 7)) == b"456"
    assert b"".join(read(root / "stdout.txt", 8, 100)) == b"89"


def test_a_file_is_described_in_headers(root):
    described = headers(root / "stdout.txt", "http://h/x")
    assert described["Content-Type"] == "text/plain"
    assert (described["ocp-batch-file-isdirectory"], described["ocp-batch-file-url"]) == ("false", "http://h/x")
    assert described["Last-Modified"].endswith(" GMT")
