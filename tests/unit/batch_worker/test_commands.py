"""Argvs of the external programs, word by word where a word changes results."""

from pathlib import Path

from batch_worker import commands


def mpileup(**changes):
    settings = {
        "reference": Path("r.fa"),
        "targets_bed": Path("t.bed"),
        "max_depth": 8_000,
        "min_mapq": 0,
        "min_base_quality": 1,
        "tandem_quality": 300,
        "depth_bands": (0, 1, 5),
        "out_vcf": None,
    }
    return commands.mpileup(Path("p.bam"), **{**settings, **changes})


def test_mpileup_streams_targets_groups_blocks_and_never_samples_reads():
    assert " ".join(mpileup()) == (
        "bcftools mpileup --no-version -Ou -g 0,1,5 -a FORMAT/AD,FORMAT/DP -d 8000 -L 8000 -q 0 -Q 1 -h 300 "
        "-f r.fa -T t.bed p.bam"
    )


def test_mpileup_gives_every_position_when_no_bands_are_named():
    argv = mpileup(depth_bands=None, out_vcf=Path("o.vcf"))
    assert "-g" not in argv
    assert argv[3:6] == ["-Ov", "-o", "o.vcf"]


def test_call_reads_stdin_and_uses_the_bands_of_mpileup():
    argv = commands.call(Path("o.vcf"), prior=0.005, ploidy=2, depth_bands=(0, 1, 5))
    assert " ".join(argv) == ("bcftools call --no-version -m -P 0.005 -a FORMAT/GQ --ploidy 2 -g 0,1,5 -Ov -o o.vcf -")


def test_normalise_splits_and_remembers_what_a_record_was():
    argv = commands.normalise(Path("v.vcf"), Path("o.vcf"), reference=Path("r.fa"), original_tag="ORIGINAL")
    assert " ".join(argv) == (
        "bcftools norm --no-version -f r.fa -m -any -c w --old-rec-tag ORIGINAL -Ov -o o.vcf v.vcf"
    )


def test_statistics_name_their_result_last_and_targets_and_reference_only_when_given():
    argv = commands.samtools_stats(Path("s.bam"), Path("o.txt"), threads=2, reference=None, targets=None)
    assert " ".join(argv) == "samtools stats -@ 2 s.bam --stdout o.txt"
    argv = commands.samtools_stats(Path("s.cram"), Path("o.txt"), threads=1, reference=Path("r.fa"), targets=Path("t"))
    assert " ".join(argv) == "samtools stats -@ 1 --reference r.fa -t t s.cram --stdout o.txt"
    assert " ".join(commands.bcftools_stats(Path("v.vcf.gz"), Path("o.txt"), targets=Path("t.bed"))) == (
        "bcftools stats -s - -T t.bed v.vcf.gz --stdout o.txt"
    )
