"""The programs inside pysam."""

import threading

import pytest

from shared.errors import PermanentError
from shared.formats.bcftools import htslib_versions, run_bcftools, run_samtools

VCF = "##fileformat=VCFv4.2\n##contig=<ID=1,length=100>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def test_a_command_writes_its_file_and_returns_what_it_said(tmp_path):
    source, out = tmp_path / "in.vcf", tmp_path / "out.vcf"
    source.write_text(VCF + "1\t5\t.\tA\tC\t.\t.\t.\n")
    run_bcftools("view", "--no-version", "-o", str(out), str(source))
    assert "1\t5\t.\tA\tC" in out.read_text()


@pytest.mark.parametrize("run", [run_bcftools, run_samtools])
def test_a_failure_is_permanent_and_tells_the_programs_reason(tmp_path, run):
    with pytest.raises(PermanentError, match=r"tools view .*absent failed: (?s:.*)No such file"):
        run("view", "-o", str(tmp_path / "out"), str(tmp_path / "absent"))


def test_threads_take_turns(tmp_path):
    errors: list[BaseException] = []

    def work(number: int) -> None:
        source, out = tmp_path / f"{number}.vcf", tmp_path / f"{number}.out"
        source.write_text(VCF + f"1\t{number + 1}\t.\tA\tC\t.\t.\t.\n")
        try:
            for _ in range(20):
                run_bcftools("view", "--no-version", "-o", str(out), str(source))
                assert f"1\t{number + 1}\t" in out.read_text()
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_versions_are_told():
    assert set(htslib_versions()) == {"samtools", "bcftools"}
