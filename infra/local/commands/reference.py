"""`./run reference`: make a reference bundle from its sources, and install it in a storage account."""

import argparse
from pathlib import Path

from batch_worker.tasks.reference import BundleSources, install_bundle, make_bundle
from shared.adapters.blobs import AzureBlobs
from shared.adapters.identity import sign_in
from shared.domain.reference import Assembly
from shared.errors import PermanentError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="make a bundle in a folder")
    make.add_argument("--name", required=True, help="name that orders use, such as grch38-2026.11")
    make.add_argument("--fasta", type=Path, required=True, help="reference sequence: plain, gzip or bgzip")
    make.add_argument("--gff", type=Path, metavar="GFF3", help="gene models of Ensembl, GENCODE or RefSeq")
    make.add_argument("--clinvar", type=Path, metavar="VCF", help="ClinVar's VCF for the same genome build")
    make.add_argument(
        "--known-sites",
        type=Path,
        metavar="VCF",
        nargs="+",
        default=[],
        help="places known to vary, such as dbSNP: the caller gatk needs them to recalibrate base qualities",
    )
    make.add_argument(
        "--common-sites",
        type=Path,
        metavar="VCF",
        help="common SNVs with INFO/AF, such as gnomAD's: contamination and identity are measured there",
    )
    make.add_argument("--assembly", type=Assembly, choices=list(Assembly), default=Assembly.OTHER, help="genome build")
    make.add_argument(
        "--par", type=Path, metavar="BED", help="pseudo-autosomal regions of X and Y; known of GRCh37 and GRCh38"
    )
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the bundle")
    make.set_defaults(act=_make)
    install = actions.add_parser("install", help="upload a bundle to the `reference` container")
    install.add_argument("folder", type=Path, help="folder of the bundle")
    target = install.add_mutually_exclusive_group(required=True)
    target.add_argument("--connection-string", help="of the data account (local stack)")
    target.add_argument("--blob-uri", help="blob endpoint of the data account; signs in as you are (az login)")
    install.set_defaults(act=_install)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action."""
    return int(args.act(args))


def _make(args: argparse.Namespace) -> int:
    sources = BundleSources(
        args.fasta,
        args.gff,
        args.clinvar,
        known_sites=tuple(args.known_sites),
        common_sites=args.common_sites,
        pseudo_autosomal=args.par,
    )
    manifest = make_bundle(args.name, args.assembly, sources, args.out, say=print)
    print(
        f"Bundle '{manifest.name}' with {len(manifest.contigs):,} contigs and {len(manifest.files)} files: {args.out}"
    )
    return 0


def _install(args: argparse.Namespace) -> int:
    if not (args.folder / "manifest.json").is_file():
        raise PermanentError(f"{args.folder} holds no manifest.json; make the bundle first (./run reference make).")
    credential = sign_in() if args.blob_uri else None
    blobs = AzureBlobs.connect(args.connection_string, args.blob_uri, credential)
    manifest = install_bundle(args.folder, blobs, say=print)
    print(f"Bundle '{manifest.name}' is installed; orders name it in `reference`.")
    return 0
