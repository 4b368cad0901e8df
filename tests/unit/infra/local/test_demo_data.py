"""The demo's inputs are what they say: checked by ways of their own, from the files alone."""

import gzip
import json
import re
from collections import Counter
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pysam
import pysam.bcftools
import pytest

from infra.local.demo_data import DemoData, make_demo_data
from infra.local.simulate import ReadModel
from shared.domain.contamination import MIN_SITES
from shared.domain.genome import Contig
from shared.domain.order import parse_order
from shared.domain.reads import pair_up
from shared.errors import PermanentError
from shared.formats.common_sites import prepare_common_sites, read_common_sites
from shared.formats.fingerprint_vcf import read_genotypes

SAMPLE = "DEMO001"
GENOME_BP = 40_000
DEPTH = 15.0
READ_BP = 100

_BASES = "TCAG"
_AMINO_ACIDS = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
CODONS = dict(zip((a + b + c for a in _BASES for b in _BASES for c in _BASES), _AMINO_ACIDS, strict=True))


class Read(NamedTuple):
    name: str
    bases: str
    quality: str


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return make(tmp_path_factory.mktemp("demo"))


def make(folder: Path, seed: int = 1) -> DemoData:
    return make_demo_data(folder, seed=seed, genome_bp=GENOME_BP, depth=DEPTH, model=ReadModel(read_bp=READ_BP))


def complement(bases: str) -> str:
    return bases[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def read_genome(data: DemoData) -> dict[str, str]:
    genome: dict[str, str] = {}
    for record in data.fasta.read_text().split(">")[1:]:
        name, _, lines = record.partition("\n")
        genome[name] = lines.replace("\n", "")
    return genome


def read_fastq(path: Path) -> list[Read]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert set(lines[2::4]) == {"+"}
    return [
        Read(name[1:], bases, quality)
        for name, bases, quality in zip(lines[::4], lines[1::4], lines[3::4], strict=True)
    ]


def truth_records(data: DemoData) -> list[tuple[str, int, str, str, str]]:
    rows = [line.split("\t") for line in gzip.decompress(data.truth.read_bytes()).decode().splitlines()]
    return [(row[0], int(row[1]), row[3], row[4], row[9]) for row in rows if not row[0].startswith("#")]


def read_haplotypes(data: DemoData) -> list[dict[str, str]]:
    """The donor's two sequences per contig, from FASTA and truth."""
    haplotypes = [read_genome(data), read_genome(data)]
    for contig, pos, ref, alt, genotype in reversed(truth_records(data)):
        for haplotype, carried in zip(haplotypes, genotype.split("|"), strict=True):
            if carried == "1":
                bases = haplotype[contig]
                haplotype[contig] = bases[: pos - 1] + alt + bases[pos - 1 + len(ref) :]
    return haplotypes


def transcripts(data: DemoData, kind: str) -> dict[str, tuple[str, str, list[tuple[int, int]]]]:
    """Contig, strand and parts of a kind (0-based half-open, in genome order) by transcript, from the GFF3."""
    rows = [line.split("\t") for line in data.genes.read_text().splitlines() if not line.startswith("#")]
    found = [(re.search(r"Parent=transcript:(\w+)", row[8])[1], row) for row in rows if row[2] == kind]  # type: ignore[index]
    return {
        name: (group[0][0], group[0][6], sorted((int(row[3]) - 1, int(row[4])) for row in group))
        for name, members in groupby(found, key=lambda item: item[0])
        for group in [[row for _, row in members]]
    }


def spliced(bases: str, strand: str, parts: list[tuple[int, int]]) -> str:
    message = "".join(bases[start:end] for start, end in parts)
    return message if strand == "+" else complement(message)


def translate(message: str) -> str:
    return "".join(CODONS[message[at : at + 3]] for at in range(0, len(message), 3))


def test_equal_seeds_give_equal_bytes_in_every_file(data: DemoData, tmp_path: Path) -> None:
    again = make(tmp_path)
    root = data.truth.parent
    files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    for name in (again.truth.name, "reference/clinvar.vcf.gz.tbi", f"landing/{SAMPLE}/order.json"):
        assert Path(name) in files
    for name, content in files.items():
        if name.suffix != ".fai":  # another test may have made it
            assert (tmp_path / name).read_bytes() == content, name


def test_another_seed_gives_another_genome_and_other_reads(data: DemoData, tmp_path: Path) -> None:
    other = make(tmp_path, seed=2)
    assert other.fasta.read_bytes() != data.fasta.read_bytes()
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(data.fastqs, other.fastqs, strict=True))


def test_the_genome_has_its_size_one_run_of_n_and_a_segment_that_is_there_twice(data: DemoData) -> None:
    genome = read_genome(data)
    assert sum(map(len, genome.values())) == GENOME_BP
    assert [len(re.findall("N+", bases)) for bases in genome.values()] == [0, 1]
    assert all(set(bases) <= set("ACGTN") for bases in genome.values())
    copy = round(0.025 * len(genome["demo2"]))
    segment = genome["demo2"][round(0.87 * len(genome["demo2"])) :][:copy]
    assert segment in genome["demo1"]


def test_genes_of_both_strands_translate_from_start_to_stop(data: DemoData) -> None:
    genome = read_genome(data)
    coding = transcripts(data, "CDS")
    assert len(coding) == 4
    assert {strand for _, strand, _ in coding.values()} == {"+", "-"}
    for contig, strand, parts in coding.values():
        protein = translate(spliced(genome[contig], strand, parts))
        assert protein.startswith("M")
        assert protein.index("*") == len(protein) - 1


def test_introns_start_with_gt_and_end_with_ag(data: DemoData) -> None:
    genome = read_genome(data)
    exons = transcripts(data, "exon")
    assert len(exons) == 5, "four coding genes and one that is not"
    for contig, strand, parts in exons.values():
        assert 2 <= len(parts) <= 5
        for (_, start), (end, _) in pairwise(parts):
            intron = spliced(genome[contig], strand, [(start, end)])
            assert (intron[:2], intron[-2:]) == ("GT", "AG")


def test_the_truth_agrees_with_the_genome_and_is_sorted_and_normal(data: DemoData, tmp_path: Path) -> None:
    genome = read_genome(data)
    records = truth_records(data)
    assert len(records) > GENOME_BP / 800 * 0.6
    for contig, pos, ref, alt, genotype in records:
        assert genome[contig][pos - 1 : pos - 1 + len(ref)] == ref
        assert ref != alt
        assert "N" not in ref + alt
        assert genotype in {"0|1", "1|0", "1|1"}
    normal = tmp_path / "normal.vcf"
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes(data.fasta.read_bytes())
    pysam.bcftools.norm("-f", str(fasta), "-o", str(normal), str(data.truth), catch_stdout=False)
    lines = [line.split("\t") for line in normal.read_text().splitlines() if not line.startswith("#")]
    assert [(row[0], int(row[1]), row[3], row[4], row[9]) for row in lines] == records


def test_two_thirds_of_many_variants_are_heterozygous_and_some_are_indels(tmp_path: Path) -> None:
    many = make_demo_data(tmp_path, genome_bp=250_000, depth=0.1)
    records = truth_records(many)
    heterozygous = sum(genotype != "1|1" for *_, genotype in records) / len(records)
    indels = sum(len(ref) != len(alt) for _, _, ref, alt, _ in records) / len(records)
    assert 0.58 < heterozygous < 0.75
    assert 0.08 < indels < 0.22


def test_the_planted_variant_is_a_stop_gained_in_demo1_that_the_donor_has_once(data: DemoData) -> None:
    planted = data.planted
    record = next(r for r in truth_records(data) if r[:4] == (planted.contig, planted.pos, planted.ref, planted.alt))
    assert record[4] in {"0|1", "1|0"}
    contig, strand, parts = transcripts(data, "CDS")["DEMOT00000001"]
    assert contig == planted.contig
    bases = read_genome(data)[contig]
    changed = bases[: planted.pos - 1] + planted.alt + bases[planted.pos :]
    before, after = (translate(spliced(text, strand, parts)) for text in (bases, changed))
    differing = [number for number in range(len(before)) if before[number] != after[number]]
    assert len(differing) == 1
    assert after[differing[0]] == "*"
    assert differing[0] < len(before) - 1, "not the stop codon that was there"


def test_bcftools_csq_accepts_the_genes_and_agrees(data: DemoData, tmp_path: Path) -> None:
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes(data.fasta.read_bytes())
    called = tmp_path / "csq.vcf"
    arguments = ("-f", str(fasta), "-g", str(data.genes), "-p", "a", "-o", str(called), str(data.truth))
    pysam.bcftools.csq(*arguments, catch_stdout=False)
    found = dict(re.findall(r"^(?:[^#\t]*)\t(\d+)\t.*BCSQ=([^\t;]+)", called.read_text(), flags=re.MULTILINE))
    assert found[str(data.planted.pos)].startswith("stop_gained|DEMO1|DEMOT00000001|protein_coding|")
    worst = Counter(value.split("|")[0] for value in found.values())
    assert worst["stop_gained"] == worst["frameshift"] == 1


def test_the_knowledge_holds_one_pathogenic_allele_of_the_donor_and_traps(data: DemoData) -> None:
    carried = {record[:4] for record in truth_records(data)}
    genome = read_genome(data)
    rows = [line.split("\t") for line in gzip.decompress(data.clinvar.read_bytes()).decode().splitlines()]
    records = [row for row in rows if not row[0].startswith("#")]
    places = [(list(genome).index(row[0]), int(row[1]), row[3], row[4]) for row in records]
    assert places == sorted(places)
    by_significance: dict[str, list[tuple[str, int, str, str]]] = {}
    for row in records:
        assert genome[row[0]][int(row[1]) - 1 :].startswith(row[3])
        significance = re.search(r"CLNSIG=([^;]+)", row[7])[1]  # type: ignore[index]
        by_significance.setdefault(significance, []).append((row[0], int(row[1]), row[3], row[4]))
    planted = (data.planted.contig, data.planted.pos, data.planted.ref, data.planted.alt)
    pathogenic = by_significance["Pathogenic"] + by_significance["Likely_pathogenic"]
    assert [allele for allele in pathogenic if allele in carried] == [planted]
    assert len(pathogenic) == 4
    positions = {allele[:2] for allele in carried}
    assert [a for a in pathogenic if a not in carried and a[:2] in positions], "same place, another ALT"
    assert all(allele in carried for allele in by_significance["Benign"])
    assert by_significance["Conflicting_classifications_of_pathogenicity"][0] in carried


def test_the_order_is_one_that_the_chain_accepts_and_the_files_pair_up(data: DemoData) -> None:
    order = parse_order(data.order.read_bytes(), f"{SAMPLE}/order.json")
    assert order.reference == "demo"
    assert order.patient.identifier is not None
    assert json.loads(data.order.read_bytes())["sample"] == SAMPLE
    pairing = pair_up(SAMPLE, [f"{SAMPLE}/{path.name}" for path in data.fastqs])
    assert [pair.label for pair in pairing.pairs] == ["S1_L001", "S1_L002"]
    assert (pairing.missing, pairing.unreadable) == ((), ())
    assert data.order.parent == data.fastqs[0].parent


def test_lane_1_is_plain_gzip_and_lane_2_is_bgzf_without_times(data: DemoData) -> None:
    for path in data.fastqs:
        head = path.read_bytes()[:18]
        assert head[4:8] == bytes(4), "no time of making"
        is_bgzf = head[3] == 4 and head[12:14] == b"BC"
        assert is_bgzf == ("_L002_" in path.name)
    with pysam.BGZFile(str(data.fastqs[2])) as file:
        assert file.read(7) == b"@DEMO01"
    assert data.fastqs[2].read_bytes().endswith(bytes.fromhex("1b0003000000000000000000")), "the end-of-file block"


def test_mates_stand_on_the_same_line_and_every_name_is_there_once(data: DemoData) -> None:
    names: list[str] = []
    for r1, r2 in (data.fastqs[:2], data.fastqs[2:]):
        for first, second in zip(read_fastq(r1), read_fastq(r2), strict=True):
            name, _, comment = first.name.partition(" ")
            assert re.fullmatch(r"DEMO01:1:HDEMOAFXX:[12]:\d{4}:\d+:\d+", name)
            assert comment == "1:N:0:ACGTACGT+TGCATGCA"
            assert second.name == f"{name} 2:N:0:ACGTACGT+TGCATGCA"
            names.append(name)
    assert len(set(names)) == len(names) == round(DEPTH * GENOME_BP / (2 * READ_BP))


def test_reads_come_from_both_haplotypes_with_as_many_errors_as_their_qualities_say(data: DemoData) -> None:
    haplotypes = [bases for haplotype in read_haplotypes(data) for bases in haplotype.values()]
    texts = [text for bases in haplotypes for text in (bases, complement(bases))]
    errors = expected = placed = 0.0
    reads = [read for path in data.fastqs for read in read_fastq(path)][::7]
    for read in reads:
        assert len(read.bases) == len(read.quality) == READ_BP
        best = min((differences(read.bases, text) for text in texts), default=READ_BP)
        placed += best < READ_BP // 3
        errors += best - read.bases.count("N")
        expected += sum(
            10 ** ((33 - ord(q)) / 10) for q, base in zip(read.quality, read.bases, strict=True) if base != "N"
        )
    assert placed == len(reads)
    assert 0.8 < errors / expected < 1.25


def differences(read: str, text: str) -> int:
    """Fewest differences between a read and the places of a text where one of its quarters stands."""
    fewest = len(read)
    step = len(read) // 4
    for offset in range(0, len(read) - step + 1, step):
        at = text.find(read[offset : offset + step])
        while at >= 0:
            place = text[max(0, at - offset) :][: len(read)]
            if at >= offset and len(place) == len(read):
                fewest = min(fewest, sum(a != b for a, b in zip(read, place, strict=True)))
            at = text.find(read[offset : offset + step], at + 1)
    return fewest


def test_a_heterozygous_variant_is_on_about_half_of_the_reads_over_it(tmp_path: Path) -> None:
    deep = make_demo_data(tmp_path, genome_bp=20_000, depth=120, model=ReadModel(read_bp=100))
    planted = deep.planted
    bases = read_genome(deep)[planted.contig]
    around = [
        bases[planted.pos - 13 : planted.pos - 1] + base + bases[planted.pos : planted.pos + 12]
        for base in (planted.ref, planted.alt)
    ]
    reads = [read.bases for path in deep.fastqs for read in read_fastq(path)]
    with_ref, with_alt = (sum(word in read or complement(word) in read for read in reads) for word in around)
    assert with_ref + with_alt > 50
    assert 0.35 < with_alt / (with_ref + with_alt) < 0.65


def test_one_pair_in_twenty_is_a_copy_and_a_few_reads_have_n(data: DemoData) -> None:
    heads = Counter(
        (first.bases[:30], second.bases[:30])
        for r1, r2 in (data.fastqs[:2], data.fastqs[2:])
        for first, second in zip(read_fastq(r1), read_fastq(r2), strict=True)
    )
    copies = sum(count - 1 for count in heads.values()) / heads.total()
    assert 0.03 < copies < 0.07, "errors hide some"
    reads = [read for path in data.fastqs for read in read_fastq(path)]
    with_n = [read for read in reads if "N" in read.bases]
    assert 0 < len(with_n) < len(reads) * 0.01
    assert all(
        quality == "#" for read in with_n for base, quality in zip(read.bases, read.quality, strict=True) if base == "N"
    )


def test_a_genome_without_room_for_the_genes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="19,999 bp has no room for its genes; ask for 20,000"):
        make_demo_data(tmp_path, genome_bp=19_999)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_genome_works_for_any_seed(tmp_path: Path, seed: int) -> None:
    small = make_demo_data(tmp_path, seed=seed, genome_bp=20_000, depth=1)
    genome = read_genome(small)
    for contig, strand, parts in transcripts(small, "CDS").values():
        assert translate(spliced(genome[contig], strand, parts)).endswith("*")


def test_common_sites_suffice_for_contamination_and_the_array_tells_the_donors_genotypes(tmp_path: Path) -> None:
    made = make_demo_data(tmp_path, genome_bp=250_000, depth=0.1, with_array=True)
    assert made.array is not None
    assert parse_order(made.order.read_bytes(), f"{SAMPLE}/order.json").fingerprint == made.array.name
    contigs = tuple(Contig(name, len(letters)) for name, letters in read_genome(made).items())
    pysam.faidx(str(made.fasta))
    prepare_common_sites(made.common_sites, made.fasta, contigs, tmp_path / "sites.vcf.gz")
    sites = read_common_sites(tmp_path / "sites.vcf.gz")
    assert len(sites) > MIN_SITES
    carried = {(contig, pos): genotype.count("1") for contig, pos, _, _, genotype in truth_records(made)}
    assert 0.15 < sum((site.contig, site.pos) not in carried for site in sites) / len(sites) < 0.4
    known = read_genotypes(made.array, SAMPLE, contigs)
    shared = [site for site in sites if (site.contig, site.pos) in known]
    assert len(shared) > 100
    for site in shared:
        alts = carried.get((site.contig, site.pos), 0)
        assert known[site.contig, site.pos].count(site.alt) == alts, site
