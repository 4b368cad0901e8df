"""The demo's genes as GFF3 in Ensembl's dialect, which bcftools csq and ferro-hgvs read."""

from collections.abc import Iterator

from infra.local.demo_genome import DemoGenome, Gene


def gff3(genome: DemoGenome) -> str:
    """The genes of a genome as GFF3; coordinates are 1-based and closed there."""
    regions = "".join(f"##sequence-region   {name} 1 {len(bases)}\n" for name, bases in genome.contigs.items())
    return "##gff-version 3\n" + regions + "###\n".join("".join(_gff_lines(gene)) for gene in genome.genes)


def _gff_lines(gene: Gene) -> Iterator[str]:
    """Rows of one gene as Ensembl writes them; ids are `gene:`, `transcript:` and `CDS:` with a version beside."""
    coding = bool(gene.cds)
    biotype = "protein_coding" if coding else "lncRNA"
    gene_id, transcript_id, protein_id = (f"DEMO{kind}{gene.number:08d}" for kind in "GTP")

    def row(kind: str, start: int, end: int, phase: str, attributes: str) -> str:
        return f"{gene.contig}\tdemo\t{kind}\t{start + 1}\t{end}\t.\t{gene.strand}\t{phase}\t{attributes}\n"

    yield row(
        "gene" if coding else "ncRNA_gene",
        gene.start,
        gene.end,
        ".",
        f"ID=gene:{gene_id};Name={gene.name};biotype={biotype};description=synthetic;gene_id={gene_id};version=1",
    )
    yield row(
        "mRNA" if coding else "lnc_RNA",
        gene.start,
        gene.end,
        ".",
        f"ID=transcript:{transcript_id};Parent=gene:{gene_id};Name={gene.name}-201;biotype={biotype};"
        f"tag=Ensembl_canonical;transcript_id={transcript_id};version=1",
    )
    parent = f"Parent=transcript:{transcript_id}"
    step = 1 if gene.strand == "+" else -1
    for rank, exon in enumerate(gene.exons[::step], 1):
        exon_id = f"DEMOE{gene.number:06d}{rank:02d}"
        attributes = f"{parent};Name={exon_id};exon_id={exon_id};rank={rank};version=1"
        yield row("exon", exon.start, exon.end, ".", attributes)
    done = 0
    for part in gene.cds[::step]:
        phase = str(-done % 3)
        yield row("CDS", part.start, part.end, phase, f"ID=CDS:{protein_id};{parent};protein_id={protein_id};version=1")
        done += part.length
    if coding:
        before, after = ("five_prime_UTR", "three_prime_UTR")[::step]
        for exon in gene.exons:
            if exon.start < gene.cds[0].start:
                yield row(before, exon.start, min(exon.end, gene.cds[0].start), ".", parent)
            if exon.end > gene.cds[-1].end:
                yield row(after, max(exon.start, gene.cds[-1].end), exon.end, ".", parent)
