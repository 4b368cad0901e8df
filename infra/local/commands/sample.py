"""`./run sample`: anyone's FASTQ files on the local stack."""

import argparse
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from batch_worker.tasks.reference import BundleSources
from infra.local.job import SampleJob, prepare_bundle, run_job, shown, tell
from infra.local.part import STATE
from infra.local.sizing import settings_for
from infra.local.stack import StackOptions, open_stack
from shared.domain.fastq_names import is_fastq, parse_fastq_name
from shared.domain.ids import canonical_json
from shared.domain.order import Order, parse_order, read_json
from shared.domain.reads import pair_up
from shared.domain.reference import Assembly
from shared.errors import PermanentError

_SAMPLE_NUMBER_AND_LANE = re.compile(r"(_S\d+)?(_L\d+)?$")
"""What Illumina puts between the sample and the mate."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--reference", type=Path, required=True, metavar="FASTA", help="plain, gzip or bgzip")
    parser.add_argument("--gff", type=Path, metavar="GFF3", help="gene models of Ensembl, GENCODE or RefSeq")
    parser.add_argument("--clinvar", type=Path, metavar="VCF", help="ClinVar's VCF for the same genome build")
    parser.add_argument("--common-sites", type=Path, metavar="VCF", help="common SNVs with INFO/AF")
    parser.add_argument(
        "--known-sites",
        type=Path,
        metavar="VCF",
        nargs="+",
        default=[],
        help="places known to vary; for the caller gatk",
    )
    parser.add_argument("--par", type=Path, metavar="BED", help="pseudo-autosomal regions; known of GRCh37 and GRCh38")
    parser.add_argument("--fastq", type=Path, required=True, metavar="DIR", help="folder with one sample's FASTQ files")
    parser.add_argument("--order", type=Path, metavar="JSON", help="order.json; made from the file names when left out")
    parser.add_argument(
        "--single-end", action="store_true", help="the reads have no mates; not with --order, which says it itself"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the results go (default: results/SAMPLE)")
    parser.add_argument(
        "--assembly",
        type=Assembly,
        choices=list(Assembly),
        default=Assembly.OTHER,
        help="genome build (default: other)",
    )
    parser.add_argument("--state", type=Path, default=STATE / "sample", help="folder of all data and logs")


def run(args: argparse.Namespace) -> int:
    """Make the bundle and the order, run the chain, copy the results."""
    state: Path = args.state
    if args.single_end and args.order is not None:
        raise PermanentError("--single-end and --order are given. Say `single_end: true` in the order instead.")
    single_end = args.single_end or _says_single_end(args.order)
    fastqs = _fastqs(args.fastq, single_end=single_end)
    sources = BundleSources(
        args.reference,
        args.gff,
        args.clinvar,
        known_sites=tuple(args.known_sites),
        common_sites=args.common_sites,
        pseudo_autosomal=args.par,
    )
    bundle = _bundle_name(sources, args.assembly)
    folder = state / "bundles" / bundle
    print(f"Preparing the reference bundle {bundle} ...", flush=True)
    manifest = prepare_bundle(bundle, args.assembly, sources, folder)
    order = _order(args.order, fastqs, bundle, single_end=single_end)
    order_file = state / "orders" / order.sample / "order.json"
    order_file.parent.mkdir(parents=True, exist_ok=True)
    order_file.write_bytes(order.to_json())
    slots = os.cpu_count() or 1
    genome_bp = sum(contig.length for contig in manifest.contigs)
    options = StackOptions(state=state / "stack", slots=slots, settings=settings_for(genome_bp, fastqs, slots))
    out: Path = args.out or Path("results") / order.sample
    job = SampleJob(order.sample, fastqs, order_file, folder, out, _named_files(order, args.fastq, args.order))
    print("Starting the local stack ...", flush=True)
    with open_stack(options) as stack:
        tell(stack, job, run_job(stack, job))
    for note in _notes(args):
        print(note)
    again = f"./run up --state {shown(state / 'stack')}"
    print(f"\nThe FHIR address answered only while the stack was up; `{again}` starts it again, with its data.")
    return 0


def _notes(args: argparse.Namespace) -> Iterator[str]:
    """What the results cannot say because a source was not given."""
    if args.gff is None:
        yield "Without --gff no gene and no consequence is named."
    if args.clinvar is None:
        yield "Without --clinvar no variant can be reported: no findings does not mean a negative result."


def _says_single_end(order: Path | None) -> bool:
    """Whether an order says that there are no mates; what else it says is looked at later."""
    if order is None or not order.is_file():
        return False
    given = read_json(order.read_bytes(), order.name)
    return isinstance(given, dict) and given.get("single_end") is True


def _fastqs(folder: Path, *, single_end: bool) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise PermanentError(f"{folder} is no folder. Give the folder that holds one sample's FASTQ files.")
    found = tuple(sorted(path for path in folder.iterdir() if is_fastq(path.name)))
    if not found:
        raise PermanentError(f"{folder} holds no FASTQ files (*.fastq.gz, *.fq.gz, *.fastq, *.fq).")
    # Asked here, not of the chain: a mate from an earlier drop of this sample would still lie in its landing folder.
    pairing = pair_up("", [path.name for path in found], single_end=single_end)
    found = tuple(path for path in found if path.name not in pairing.left_out)
    if missing := pairing.missing:
        raise PermanentError(f"{folder} lacks {', '.join(missing)}. Every R1 needs its R2, and the other way round.")
    return found


def _bundle_name(sources: BundleSources, assembly: Assembly) -> str:
    """A name that follows from the sources' bytes, so that the same sources are prepared once."""
    digest = hashlib.sha256(assembly.encode())
    optional = (sources.genes, sources.clinvar, sources.common_sites, sources.pseudo_autosomal)
    for path in (sources.fasta, *optional, *sources.known_sites):
        digest.update(b"\0")
        if path is not None:
            if not path.is_file():
                raise PermanentError(f"{path} is not there. Check the path.")
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"local-{digest.hexdigest()[:12]}"


def _order(path: Path | None, fastqs: tuple[Path, ...], bundle: str, *, single_end: bool) -> Order:
    """The given order, against the prepared bundle; or one made from the file names."""
    if path is not None:
        if not path.is_file():
            raise PermanentError(f"{path} is not there. Check the path of the order.")
        given = json.loads(path.read_bytes())
        sample = str(given.get("sample", "")) if isinstance(given, dict) else ""
        order = parse_order(path.read_bytes(), f"{sample}/order.json")
        names = order.files or tuple(file.name for file in fastqs)
        return order.model_copy(update={"reference": bundle, "files": names})
    sample = _sample_of(fastqs, single_end=single_end)
    values = {
        "sample": sample,
        "patient": {"identifier": {"system": "urn:example:local-patients", "value": sample}},
        "test": {"code": "germline-small-variants", "display": "Germline small variants"},
        "reference": bundle,
        "files": [path.name for path in fastqs],
        "single_end": single_end,
    }
    return parse_order(canonical_json(values), f"{sample}/order.json")


def _named_files(order: Order, fastq_folder: Path, order_file: Path | None) -> tuple[Path, ...]:
    """The other files that the order names: the fingerprint lies with the FASTQ files, the targets with the order."""
    named = []
    if order.fingerprint:
        named.append((fastq_folder / order.fingerprint, "its `fingerprint`"))
    if order.options.targets and order_file is not None:
        named.append((order_file.parent / order.options.targets, "its `targets`"))
    for path, what in named:
        if not path.is_file():
            raise PermanentError(f"{path} is not there; the order names it as {what}. Put it there.")
    return tuple(path for path, _ in named)


def _sample_of(fastqs: tuple[Path, ...], *, single_end: bool = False) -> str:
    """The sample name that all FASTQ names begin with."""
    names = set()
    for path in fastqs:
        parsed = parse_fastq_name(path.name, single_end=single_end)
        if parsed is None:
            raise PermanentError(
                f"{path} follows no known naming of FASTQ pairs. Name the files SAMPLE_S1_L001_R1_001.fastq.gz and "
                "..._R2_001.fastq.gz, or SAMPLE_R1.fastq.gz and SAMPLE_R2.fastq.gz."
            )
        names.add(_SAMPLE_NUMBER_AND_LANE.sub("", parsed.stem))
    if len(names) != 1:
        raise PermanentError(
            f"The folder holds FASTQ files of {len(names)} samples ({', '.join(sorted(names))}). Give a folder with "
            "one sample's files, or an order that names the sample."
        )
    return names.pop()
