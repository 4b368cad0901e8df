"""What counts as a new blob, and how the log is followed over restarts."""

import pytest

from infra.local.relay.access_log import Bookmark, LogTail, WrittenBlob, written_blob
from shared.errors import PermanentError

ACCOUNT = "/devstoreaccount1"


def line(request, status=201, method="PUT"):
    return f'127.0.0.1 - - [22/Nov/2026:07:46:25 +0000] "{method} {ACCOUNT}{request} HTTP/1.1" {status} -'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line("/landing/a.json"), WrittenBlob("landing", "a.json", "PutBlob")),
        (line("/landing/a.json?sv=2024&sig=x"), WrittenBlob("landing", "a.json", "PutBlob")),
        (line("/landing/a.json?timeout=30"), WrittenBlob("landing", "a.json", "PutBlob")),
        (line("/work/A/b?comp=blocklist"), WrittenBlob("work", "A/b", "PutBlockList")),
        (line("/work/A/b?timeout=3&comp=BlockList"), WrittenBlob("work", "A/b", "PutBlockList")),
        (line("/work/A/b", status=202), WrittenBlob("work", "A/b", "CopyBlob")),
        (line("/c/s%20p/%C3%A4%2Bx%2520%3F.json"), WrittenBlob("c", "s p/ä+x%20?.json", "PutBlob")),
        # requests that write no blob
        (line("/landing?restype=container"), None),
        (line("/landing/a?comp=block&blockid=QUFBQQ%3D%3D"), None),
        (line("/landing/a?comp=lease"), None),
        (line("/landing/a?comp=lease", status=200), None),
        (line("/landing/a?comp=metadata", status=200), None),
        (line("/landing/a?comp=tier", status=200), None),
        (line("/landing/a?comp=tier", status=202), None),
        (line("/landing/a?comp=tags", status=204), None),
        (line("/landing/a?comp=properties", status=200), None),
        (line("/landing/a?comp=snapshot"), None),
        (line("/landing/a?comp=appendblock"), None),
        (line("/landing/a?comp=page"), None),
        (line("/?restype=service&comp=properties", status=202), None),
        # requests that failed
        (line("/landing/a.json", status=409), None),
        (line("/landing/a.json", status=412), None),
        (line("/landing/a.json?comp=blocklist", status=400), None),
        (line("/landing/a.json", status=500), None),
        # other requests and other lines
        (line("/landing/a.json", method="GET", status=200), None),
        (line("/landing/a.json", method="HEAD", status=200), None),
        (line("/landing/a.json", method="DELETE", status=202), None),
        ("Azurite Blob service is starting at http://127.0.0.1:10000", None),
        ('127.0.0.1 - - [x] "PUT /otheraccount/landing/a HTTP/1.1" 201 -', None),
        ("", None),
    ],
)
def test_only_a_successful_write_of_a_whole_blob_is_a_new_blob(text, expected):
    assert written_blob(text, ACCOUNT) == expected


def test_an_account_may_be_in_the_host_name_instead_of_the_path():
    text = '10.0.0.1 - - [x] "PUT /landing/a.json HTTP/1.1" 201 -'
    assert written_blob(text, "") == WrittenBlob("landing", "a.json", "PutBlob")


def texts(tail):
    return [found.text for found in tail.new_lines()]


def test_lines_are_read_once_and_only_when_complete(tmp_path):
    log = tmp_path / "log"
    tail = LogTail(log)
    assert texts(tail) == []
    log.write_text("one\ntw")
    assert texts(tail) == ["one"]
    assert tail.complete_offset == 4
    with log.open("a") as file:
        file.write("o\nthree\n")
    assert texts(tail) == ["two", "three"]
    assert tail.complete_offset == 14
    assert texts(tail) == []


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7])
def test_offsets_do_not_depend_on_how_the_log_is_read(tmp_path, monkeypatch, block):
    monkeypatch.setattr("infra.local.relay.access_log._READ_BYTES", block)
    log = tmp_path / "log"
    data = b"a\n\xc3\xa4bc\n\nlast\n"
    log.write_bytes(data)
    found = list(LogTail(log).new_lines())
    assert [one.text for one in found] == ["a", "äbc", "", "last"]
    assert [data[one.start : one.end] for one in found] == data.splitlines(keepends=True)


def test_a_tail_begins_at_its_offset(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    assert texts(LogTail(log, 4)) == ["two"]


def test_a_shortened_or_replaced_log_is_read_from_its_start(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    tail = LogTail(log)
    assert texts(tail) == ["one", "two"]
    log.write_text("x\n")
    assert texts(tail) == ["x"]
    other = tmp_path / "other"
    other.write_text("a longer log that is another file\n")
    other.replace(log)
    assert texts(tail) == ["a longer log that is another file"]


def test_a_bookmark_is_for_one_log_only(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo\n")
    bookmark = Bookmark(tmp_path / "state", log)
    assert bookmark.load() == 0
    bookmark.save(4)
    assert Bookmark(tmp_path / "state", log).load() == 4
    with log.open("a") as file:
        file.write("three\n")
    assert Bookmark(tmp_path / "state", log).load() == 4
    log.write_text("new\ntwo\nthree\n")
    assert Bookmark(tmp_path / "state", log).load() == 0


def test_a_bookmark_without_its_log_begins_anew(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\n")
    Bookmark(tmp_path / "state", log).save(4)
    log.unlink()
    assert Bookmark(tmp_path / "state", log).load() == 0


@pytest.mark.parametrize("text", ["", "[]", '{"offset": "x"}'])
def test_a_broken_bookmark_is_told_with_what_to_do(tmp_path, text):
    (tmp_path / "relay-offset.json").write_text(text)
    with pytest.raises(PermanentError, match="Delete it"):
        Bookmark(tmp_path, tmp_path / "log").load()
