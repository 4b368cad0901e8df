"""A tiny genome with one gene on each strand, written out as a reference, gene models and VCF files.

Everything is laid out base by base here, so that tests can say what a variant does without the code under test.
Positions called `pos` are 1-based.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import pysam

from shared.domain.genome import Contig

CODE = dict(
    zip(
        (a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"),
        "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF",
        strict=True,
    )
)
"""Amino acid by codon, the standard code."""

THREE = {
    "A": "Ala", "R": "Arg", "N": "Asn", "D": "Asp", "C": "Cys", "Q": "Gln", "E": "Glu", "G": "Gly", "H": "His",
    "I": "Ile", "L": "Leu", "K": "Lys", "M": "Met", "F": "Phe", "P": "Pro", "S": "Ser", "T": "Thr", "W": "Trp",
    "Y": "Tyr", "V": "Val", "*": "Ter",
}  # fmt: skip

VCF_HEADER = """##fileformat=VCFv4.2
##fileDate=20261101
##reference=file:///data/ref.fa
##bcftools_callCommand=call -m; Date=Sun Nov 1 10:00:00 2026
##FILTER=<ID=LowQual,Description="Low quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads per allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	S1
"""


def complement(base: str) -> str:
    return {"A": "T", "C": "G", "G": "C", "T": "A"}[base]


@dataclass(frozen=True)
class ToyGene:
    """A gene: `cdna` holds the 1-based genome position of every transcript base, in the transcript's order."""

    name: str
    transcript: str
    strand: str
    exons: tuple[tuple[int, int], ...]  # 1-based, closed, in the genome's order
    cds: tuple[int, int]  # 1-based, closed, on the genome

    @property
    def cdna(self) -> list[int]:
        positions = [pos for first, last in self.exons for pos in range(first, last + 1)]
        return positions if self.strand == "+" else positions[::-1]

    @property
    def coding(self) -> list[int]:
        return [pos for pos in self.cdna if self.cds[0] <= pos <= self.cds[1]]

    def spliced(self, genome: str, positions: list[int]) -> str:
        bases = [genome[pos - 1] for pos in positions]
        return "".join(bases if self.strand == "+" else map(complement, bases))


def protein(coding: str) -> str:
    return "".join(CODE[coding[at : at + 3]] for at in range(0, len(coding) - len(coding) % 3, 3))


PLUS = ToyGene("PLUS1", "T1", "+", ((1001, 1150), (1251, 1400), (1501, 1560)), (1021, 1520))
MINUS = ToyGene("MINUS1", "T2", "-", ((3001, 3130), (3231, 3330), (3401, 3500)), (3061, 3470))


def _make_genome() -> str:
    random_ = random.Random(7)
    bases = [random_.choice("ACGT") for _ in range(5000)]
    codons = [codon for codon, amino_acid in CODE.items() if amino_acid not in "*M"]
    for gene in (PLUS, MINUS):
        length = len(gene.coding) // 3
        assert len(gene.coding) % 3 == 0
        middle = [random_.choice(codons) for _ in range(length - 2)]
        # A run of one codon at residues 8 to 12: indels in it can be written in several places.
        middle[6:11] = ["CAG"] * 5
        coding = "".join(["ATG", *middle, "TAA"])
        for pos, base in zip(gene.coding, coding, strict=True):
            bases[pos - 1] = base if gene.strand == "+" else complement(base)
        introns = [(first[1], second[0]) for first, second in zip(gene.exons, gene.exons[1:], strict=False)]
        for last, first in introns:
            left, right = ("GT", "AG") if gene.strand == "+" else ("CT", "AC")
            bases[last : last + 2], bases[first - 3 : first - 1] = left, right
    bases[1199:1207] = "CAAAAAAC"  # in PLUS1's first intron, A from pos 1201 to 1206
    bases[3159:3167] = "CAAAAAAC"  # in an intron of MINUS1
    return "".join(bases)


GENOME = _make_genome()
CONTIGS = (
    Contig("chr1", len(GENOME), accession="NC_000001.11"),
    Contig("chr2", 300),
    Contig("chrM", 600, accession="NC_012920.1"),
)
MITOCHONDRION = "C" * 100 + "ATG" + "GCC" * 20 + "TGA" * 5 + "GCC" * 20 + "TAA"
MITOCHONDRION += "C" * (600 - len(MITOCHONDRION))
"""A gene at pos 101 with TGA inside, which is a stop in the nucleus and tryptophan here."""


def ref(pos: int, length: int = 1) -> str:
    return GENOME[pos - 1 : pos - 1 + length]


def other(base: str) -> str:
    """Another base, always the same one."""
    return {"A": "C", "C": "G", "G": "T", "T": "A"}[base]


def write_fasta(folder: Path, prefix: str = "chr") -> Path:
    path = folder / "ref.fa"
    sequences = {"1": GENOME, "2": "ACGGT" * 60, "M": MITOCHONDRION}
    path.write_text("".join(f">{prefix}{name}\n{bases}\n" for name, bases in sequences.items()))
    pysam.FastaFile(str(path)).close()  # makes the .fai
    return path


def ensembl_gff3(prefix: str = "chr") -> str:
    """Gene models as Ensembl writes them."""
    rows = ["##gff-version 3", "#!genome-version GRCh38", "#!genebuild-last-updated 2026-05"]
    for number, gene in enumerate((PLUS, MINUS), 1):
        contig, span = f"{prefix}1", f"{gene.exons[0][0]}\t{gene.exons[-1][1]}"
        rows.append(
            f"{contig}\tensembl\tgene\t{span}\t.\t{gene.strand}\t.\tID=gene:G{number};Name={gene.name};"
            f"biotype=protein_coding;description=a gene [Source:HGNC Symbol%3BAcc:HGNC:{1099 + number}];version=5"
        )
        rows.append(
            f"{contig}\tensembl\tmRNA\t{span}\t.\t{gene.strand}\t.\tID=transcript:{gene.transcript};"
            f"Parent=gene:G{number};biotype=protein_coding;tag=basic,MANE_Select;version=9"
        )
        rows += _parts(gene, contig, f"transcript:{gene.transcript}", f"protein_id=P{number}")
    rows.append(f"{prefix}M\tensembl\tgene\t101\t{100 + 141}\t.\t+\t.\tID=gene:GM;Name=MT1;biotype=protein_coding")
    rows.append(
        f"{prefix}M\tensembl\tmRNA\t101\t241\t.\t+\t.\tID=transcript:TM;Parent=gene:GM;biotype=protein_coding;version=1"
    )
    rows.append(f"{prefix}M\tensembl\texon\t101\t241\t.\t+\t.\tParent=transcript:TM")
    rows.append(f"{prefix}M\tensembl\tCDS\t101\t241\t.\t+\t0\tParent=transcript:TM")
    return "\n".join(rows) + "\n"


def gencode_gff3() -> str:
    """Gene models as GENCODE writes them."""
    rows = ["##gff-version 3", "#description: evidence-based annotation (GRCh38), version 49", "#provider: GENCODE"]
    for number, gene in enumerate((PLUS, MINUS), 1):
        span = f"{gene.exons[0][0]}\t{gene.exons[-1][1]}"
        common = f"gene_type=protein_coding;gene_name={gene.name};hgnc_id=HGNC:{1099 + number}"
        rows.append(
            f"chr1\tHAVANA\tgene\t{span}\t.\t{gene.strand}\t.\tID=ENSG{number}.5;gene_id=ENSG{number}.5;{common}"
        )
        rows.append(
            f"chr1\tHAVANA\ttranscript\t{span}\t.\t{gene.strand}\t.\tID=ENST{number}.9;Parent=ENSG{number}.5;"
            f"transcript_type=protein_coding;tag=basic,MANE_Select;{common}"
        )
        rows += _parts(gene, "chr1", f"ENST{number}.9", f"ID=x{number};protein_id=ENSP{number}.2;{common}")
        rows.append(
            f"chr1\tHAVANA\tstart_codon\t{gene.cds[0]}\t{gene.cds[0] + 2}\t.\t+\t0\tID=sc{number};Parent=ENST{number}.9"
        )
    return "\n".join(rows) + "\n"


def refseq_gff3(differs: bool = False) -> str:
    """Gene models as NCBI writes them, on the contig's accession."""
    rows = [
        "##gff-version 3",
        "#!genome-build GRCh38.p14",
        "#!annotation-source NCBI RefSeq GCF_000001405.40-RS_2025_08",
    ]
    contig = "NC_000001.11"
    rows.append(
        f"{contig}\tRefSeq\tregion\t1\t{len(GENOME)}\t.\t+\t.\tID={contig}:1..{len(GENOME)};Dbxref=taxon:9606;gbkey=Src"
    )
    for number, gene in enumerate((PLUS, MINUS), 1):
        span = f"{gene.exons[0][0]}\t{gene.exons[-1][1]}"
        note = ";Note=The RefSeq transcript has 1 substitution compared to this genomic sequence" if differs else ""
        rows.append(
            f"{contig}\tBestRefSeq\tgene\t{span}\t.\t{gene.strand}\t.\tID=gene-{gene.name};"
            f"Dbxref=GeneID:672,HGNC:HGNC:{1099 + number};Name={gene.name};gbkey=Gene;gene={gene.name};"
            "gene_biotype=protein_coding"
        )
        rows.append(
            f"{contig}\tBestRefSeq\tmRNA\t{span}\t.\t{gene.strand}\t.\tID=rna-NM_{number}.4;Parent=gene-{gene.name};"
            f"gbkey=mRNA;tag=MANE Select;transcript_id=NM_{number}.4{note}"
        )
        rows += _parts(gene, contig, f"rna-NM_{number}.4", f"ID=cds-NP_{number}.2;gbkey=CDS;protein_id=NP_{number}.2")
    rows.append(f"{contig}\tBestRefSeq\tgene\t4001\t4100\t.\t+\t.\tID=gene-NC1;gbkey=Gene;gene=NC1;gene_biotype=lncRNA")
    rows.append(
        f"{contig}\tBestRefSeq\tlnc_RNA\t4001\t4100\t.\t+\t.\tID=rna-NR_1.1;Parent=gene-NC1;gbkey=ncRNA;transcript_id=NR_1.1"
    )
    rows.append(f"{contig}\tBestRefSeq\texon\t4001\t4100\t.\t+\t.\tID=exon-1;Parent=rna-NR_1.1;gbkey=ncRNA")
    return "\n".join(rows) + "\n"


def _parts(gene: ToyGene, contig: str, parent: str, extra: str) -> list[str]:
    rows = []
    before = 0
    phases = {}
    for first, last in gene.exons if gene.strand == "+" else gene.exons[::-1]:
        low, high = max(first, gene.cds[0]), min(last, gene.cds[1])
        phases[first] = -before % 3
        before += max(0, high - low + 1)
    for first, last in gene.exons:
        rows.append(f"{contig}\tx\texon\t{first}\t{last}\t.\t{gene.strand}\t.\tParent={parent}")
        low, high = max(first, gene.cds[0]), min(last, gene.cds[1])
        if low <= high:
            rows.append(f"{contig}\tx\tCDS\t{low}\t{high}\t.\t{gene.strand}\t{phases[first]}\tParent={parent};{extra}")
    return rows


@dataclass(frozen=True)
class Call:
    """A VCF record to write; depths are 10 reads per allele."""

    pos: int
    ref: str
    alt: str
    genotype: str = "0/1"
    filters: str = "PASS"
    contig: str = "chr1"

    def line(self) -> str:
        alleles = 2 + self.alt.count(",")
        depths = ",".join(["10"] * alleles)
        return (
            f"{self.contig}\t{self.pos}\t.\t{self.ref}\t{self.alt}\t50\t{self.filters}\t.\tGT:AD:DP:GQ\t"
            f"{self.genotype}:{depths}:{10 * alleles}:60\n"
        )


def snv(pos: int, genotype: str = "0/1", **rest: str) -> Call:
    return Call(pos, ref(pos), other(ref(pos)), genotype, **rest)


def write_vcf(path: Path, calls: list[Call]) -> Path:
    rank = {contig.name: number for number, contig in enumerate(CONTIGS)}
    ordered = sorted(calls, key=lambda call: (rank.get(call.contig, 0), call.pos))
    path.write_text(VCF_HEADER + "".join(call.line() for call in ordered))
    return path
