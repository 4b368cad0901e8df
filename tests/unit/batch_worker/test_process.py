"""External programs: success, failure with last words, pipes, and stderr of C code."""

import os
import sys
from pathlib import Path

import pytest

from batch_worker.process import real_argv, run, run_pipeline, stderr_to
from shared.errors import TransientError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_pipeline_hands_stdout_on_and_logs_stderr(tmp_path):
    out = tmp_path / "out"
    write = "import sys; print('some text'); sys.stderr.write('chatter\\n')"
    read = f"import sys; open({str(out)!r}, 'w').write(sys.stdin.read())"
    run_pipeline([python(write), python(read)], tmp_path / "log")
    assert out.read_text() == "some text\n"
    assert (tmp_path / "log").read_text() == "chatter\n"


def test_a_failure_carries_the_last_words_and_only_those_of_this_run(tmp_path):
    (tmp_path / "log").write_text("old words\n")
    with pytest.raises(TransientError, match=r"\(exit status 3\) failed\. Last words: the disk is full") as caught:
        run(python("import sys; sys.stderr.write('the disk is full'); sys.exit(3)"), tmp_path / "log")
    assert "old words" not in str(caught.value)


def test_a_writer_that_dies_fails_the_pipeline_though_the_reader_succeeds(tmp_path):
    with pytest.raises(TransientError, match=r"exit status 5"):
        run_pipeline([python("import sys; sys.exit(5)"), python("import sys; sys.stdin.read()")], tmp_path / "log")


def test_a_reader_that_dies_ends_the_writer(tmp_path):
    endless = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    with pytest.raises(TransientError, match=r"exit status 4"):
        run_pipeline([python(endless), python("import sys; sys.exit(4)")], tmp_path / "log")


def test_a_program_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(TransientError, match=r"no-such-program could not be started"):
        run(["no-such-program"], tmp_path / "log")


def test_samtools_and_bcftools_are_those_of_the_wheel(tmp_path):
    assert real_argv(["bwa", "mem"]) == ["bwa", "mem"]
    assert real_argv(["bcftools", "norm"])[0] == sys.executable
    with pytest.raises(TransientError, match=r"(?s)samtools quickcheck \(exit status 1\) failed.*missing\.bam"):
        run(["samtools", "quickcheck", "-v", str(tmp_path / "missing.bam")], tmp_path / "log")


def test_stderr_of_the_process_goes_to_the_log_and_comes_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    with stderr_to(tmp_path / "log"):
        os.write(2, b"from C\n")
    os.write(2, b"afterwards\n")
    assert (tmp_path / "log").read_text() == "from C\n"
    assert capfd.readouterr().err == "afterwards\n"
