"""Make a reference bundle from its sources, and install it in the `reference` container."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batch_worker.engine.depth import fetch
from batch_worker.engine.header import read_dict
from batch_worker.engine.index import REFERENCE_NAME, build_index
from shared import naming
from shared.domain.accessions import accession_of
from shared.domain.genome import Contig
from shared.domain.intervals import Intervals, merged
from shared.domain.karyotype import ContigKind, Karyotype, kind_of, pseudo_autosomal_regions
from shared.domain.reference import Assembly, BundleFile, ContigEntry, ReferenceManifest, Role, Stretch
from shared.errors import PermanentError
from shared.formats.bed import read_bed
from shared.formats.clinvar import prepare_clinvar
from shared.formats.common_sites import prepare_common_sites
from shared.formats.gene_models import to_ensembl_gff3
from shared.formats.known_sites import prepare_known_sites
from shared.ports import BlobStore
from shared.steps.versions import index_versions

GENES_NAME = "genes.gff3.gz"
CLINVAR_NAME = "clinvar.vcf.gz"
COMMON_SITES_NAME = "common-sites.vcf.gz"
MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class BundleSources:
    """What a bundle is made from.

    Attributes:
        fasta: Reference sequence: plain, gzip or BGZF.
        genes: Gene models, GFF3 of Ensembl, GENCODE or RefSeq; None: no consequences will be named.
        clinvar: ClinVar's VCF; None: nothing will be reportable.
        known_sites: VCFs of places known to vary; none: base qualities cannot be recalibrated.
        common_sites: VCF of common SNVs with `INFO/AF`; None: neither contamination nor identity can be measured.
        pseudo_autosomal: BED of the regions that X and Y share; None: those of the assembly, if it is GRCh37 or GRCh38.
        versions: What the user says of the versions of `genes` and `clinvar`; read from the files when left out.
    """

    fasta: Path
    genes: Path | None = None
    clinvar: Path | None = None
    known_sites: tuple[Path, ...] = ()
    common_sites: Path | None = None
    versions: tuple[tuple[str, str], ...] = ()
    pseudo_autosomal: Path | None = None


def make_bundle(
    name: str,
    assembly: Assembly,
    sources: BundleSources,
    out_dir: Path,
    say: Callable[[str], None] = lambda _: None,
) -> ReferenceManifest:
    """Write a bundle's files and, last, its manifest; the same sources give the same bytes.

    Args:
        name: Name of the bundle; orders refer to it.
        assembly: Genome build; it decides which accessions the contigs have in reports.
        sources: What to make it from.
        out_dir: Folder for the bundle's files.
        say: Told of progress, a sentence at a time.

    Raises:
        PermanentError: For sources that are damaged or do not fit each other, with the place.
    """
    optional = (sources.genes, sources.clinvar, sources.common_sites, sources.pseudo_autosomal)
    for path in (sources.fasta, *optional, *sources.known_sites):
        if path is not None and not path.is_file():
            raise PermanentError(f"{path} is not there. Check the path.")
    say(f"indexing {sources.fasta.name}")
    indexed = build_index(sources.fasta, out_dir)
    contigs = tuple(
        Contig(contig.name, contig.length, contig.md5, accession_of(assembly, contig))
        for contig in read_dict(out_dir / f"{REFERENCE_NAME}.dict")
    )
    shared_regions = _pseudo_autosomal(assembly, sources.pseudo_autosomal, contigs)
    if unmasked := _unmasked(shared_regions, out_dir / REFERENCE_NAME):
        say(
            f"  {unmasked:,} bp of Y's pseudo-autosomal regions are not masked with N: their reads fit X and Y alike, "
            "so variants there fail the LowMapQ filter. Use a FASTA in which they are masked (an analysis set)"
        )
    versions: dict[str, str] = {}
    roles = {path: _role_of_index(path) for path in indexed}
    if sources.genes:
        say(f"checking the gene models of {sources.genes.name}")
        genes = out_dir / GENES_NAME
        summary = to_ensembl_gff3(sources.genes, genes, contigs)
        say(f"  {summary.genes:,} genes, {summary.transcripts:,} transcripts, {summary.coding:,} of them coding")
        for what, count in sorted(summary.skipped.items()):
            say(f"  left out: {count:,} transcripts, because {what}")
        versions["genes"] = summary.version
        roles |= {genes: Role.GENES, genes.with_name(genes.name + ".tbi"): Role.GENES_INDEX}
    if sources.clinvar:
        say(f"normalising {sources.clinvar.name}")
        clinvar = out_dir / CLINVAR_NAME
        known = prepare_clinvar(sources.clinvar, out_dir / REFERENCE_NAME, contigs, clinvar)
        say(f"  {known.written:,} alleles of {known.records:,} records")
        for count, why in (
            (known.other_contigs, "on contigs that the reference does not have"),
            (known.no_alleles, "without alleles"),
            (known.wrong_reference, f"whose REF is not what the reference has there, first {known.wrong_example}"),
        ):
            if count:
                say(f"  left out: {count:,} records {why}")
        versions["clinvar"] = known.version
        roles |= {clinvar: Role.CLINVAR, clinvar.with_name(clinvar.name + ".tbi"): Role.CLINVAR_INDEX}
    for number, path in enumerate(sources.known_sites, 1):
        say(f"checking the known sites of {path.name}")
        sites = out_dir / f"known-sites-{number}.vcf.gz"
        summed = prepare_known_sites(path, out_dir / REFERENCE_NAME, contigs, sites)
        say(f"  {summed.written:,} sites")
        for count, why in (
            (summed.other_contigs, "on contigs that the reference does not have"),
            (summed.wrong_reference, "whose REF is not what the reference has there"),
        ):
            if count:
                say(f"  left out: {count:,} records {why}")
        versions[f"known-sites-{number}"] = summed.version
        roles |= {sites: Role.KNOWN_SITES, sites.with_name(sites.name + ".tbi"): Role.KNOWN_SITES_INDEX}
    if sources.common_sites:
        say(f"choosing common sites of {sources.common_sites.name}")
        common = out_dir / COMMON_SITES_NAME
        chosen = prepare_common_sites(sources.common_sites, out_dir / REFERENCE_NAME, contigs, common)
        say(f"  {chosen.written:,} sites of {chosen.records:,} records")
        for why, count in chosen.left_out.items():
            say(f"  left out: {count:,} records, {why}")
        roles |= {common: Role.COMMON_SITES}
    versions |= dict(sources.versions)
    manifest = ReferenceManifest(
        name=name,
        assembly=assembly,
        contigs=tuple(
            ContigEntry(name=contig.name, length=contig.length, md5=contig.md5, accession=contig.accession)
            for contig in contigs
        ),
        files=tuple(_entry(path, role) for path, role in sorted(roles.items())),
        versions=versions,
        built_with=index_versions(),
        pseudo_autosomal=None
        if sources.pseudo_autosomal is None
        else tuple(Stretch(contig=one.contig, start=one.start, end=one.end) for one in shared_regions),
    )
    (out_dir / MANIFEST_NAME).write_bytes(manifest.to_json())
    return manifest


def install_bundle(folder: Path, blobs: BlobStore, say: Callable[[str], None] = lambda _: None) -> ReferenceManifest:
    """Upload a bundle, its manifest last; a bundle that is there already is left alone.

    Raises:
        PermanentError: When a file does not fit the manifest, or another bundle of this name is installed: plans
            refer to bundles by name, so a name never changes its content.
    """
    manifest = ReferenceManifest.model_validate_json((folder / MANIFEST_NAME).read_bytes())
    ref = naming.manifest_blob(manifest.name)
    found = blobs.find(ref)
    if found is not None:
        installed = ReferenceManifest.model_validate_json(found)
        if installed.sha256 == manifest.sha256:
            say(f"bundle '{manifest.name}' is installed already")
            return manifest
        raise PermanentError(
            f"Another bundle named '{manifest.name}' is installed. Bundles never change, because analyses refer to "
            "them; make this one under a new name, such as the old one with a date."
        )
    for file in manifest.files:
        say(f"uploading {file.path} ({file.size:,} bytes)")
        if _sha256(folder / file.path) != file.sha256:
            raise PermanentError(
                f"{folder / file.path} does not fit its checksum in {MANIFEST_NAME}. Make the bundle again."
            )
        blobs.upload(naming.bundle_blob(manifest.name, file.path), folder / file.path)
    blobs.create(ref, manifest.to_json())
    return manifest


def _pseudo_autosomal(assembly: Assembly, bed: Path | None, contigs: tuple[Contig, ...]) -> Intervals:
    """The regions that X and Y share, from a BED or as known of the assembly."""
    if bed is None:
        return pseudo_autosomal_regions(assembly, contigs)
    regions = merged(read_bed(bed.read_bytes(), bed.name, contigs), contigs)
    return Karyotype(contigs, regions).pseudo_autosomal


def _unmasked(regions: Intervals, fasta: Path) -> int:
    """Positions of Y in the regions that are not N."""
    count = 0
    for region in regions:
        if kind_of(region.contig) is ContigKind.Y:
            letters = fetch(fasta, region).upper()
            count += len(letters) - letters.count(b"N")
    return count


def _role_of_index(path: Path) -> Role:
    suffix = path.name.removeprefix(REFERENCE_NAME)
    return {"": Role.FASTA, ".fai": Role.FASTA_INDEX, ".dict": Role.DICT}.get(suffix, Role.ALIGNER_INDEX)


def _entry(path: Path, role: Role) -> BundleFile:
    return BundleFile(path=path.name, role=role, size=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
