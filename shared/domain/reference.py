"""A reference bundle: what a folder of the `reference` container holds, by its manifest."""

from enum import StrEnum, unique
from typing import Annotated

from pydantic import Field

from shared.domain.genome import Contig, Interval
from shared.domain.ids import Document, digest
from shared.domain.order import BundleName
from shared.errors import PermanentError


@unique
class Assembly(StrEnum):
    """Genome builds that the report can name; OTHER is named by the bundle only."""

    GRCH37 = "GRCh37"
    GRCH38 = "GRCh38"
    OTHER = "other"


@unique
class Role(StrEnum):
    """What a file of the bundle is for."""

    FASTA = "fasta"
    FASTA_INDEX = "fasta-index"
    DICT = "dict"
    ALIGNER_INDEX = "aligner-index"
    GENES = "genes"
    GENES_INDEX = "genes-index"
    CLINVAR = "clinvar"
    CLINVAR_INDEX = "clinvar-index"
    KNOWN_SITES = "known-sites"
    KNOWN_SITES_INDEX = "known-sites-index"
    COMMON_SITES = "common-sites"


class BundleFile(Document):
    """A file of the bundle: path below the bundle's folder, bytes, SHA-256 (hex)."""

    path: str
    role: Role
    size: int
    sha256: str


class ContigEntry(Document):
    """A contig of the reference FASTA, in its order; see `genome.Contig`."""

    name: str
    length: int
    md5: str
    accession: str = ""

    def to_contig(self) -> Contig:
        """The contig as a domain value."""
        return Contig(self.name, self.length, self.md5, self.accession)


class Stretch(Document):
    """A stretch of a contig, 0-based half-open; see `genome.Interval`."""

    contig: str
    start: int
    end: int

    def to_interval(self) -> Interval:
        """The stretch as a domain value."""
        return Interval(self.contig, self.start, self.end)


class ReferenceManifest(Document):
    """The manifest of a reference bundle, `reference/{name}/manifest.json`, written last.

    Attributes:
        versions: What the knowledge in the bundle is: source and version by role, such as
            ``{"clinvar": "2026-11-01", "genes": "Ensembl 115"}``. Knowledge that the bundle lacks is not named.
        built_with: The programs that built the indexes, with their versions.
        pseudo_autosomal: Regions that X and Y share, as the bundle was made with; None: those of the assembly.
    """

    schema_version: Annotated[int, Field(ge=1, le=1)] = 1
    name: BundleName
    assembly: Assembly
    contigs: tuple[ContigEntry, ...]
    files: tuple[BundleFile, ...]
    versions: dict[str, str]
    built_with: dict[str, str] = Field(default_factory=dict)
    pseudo_autosomal: tuple[Stretch, ...] | None = None

    def one(self, role: Role) -> BundleFile:
        """The only file of a role.

        Raises:
            PermanentError: When the bundle has none or several.
        """
        files = self.of(role)
        if len(files) != 1:
            raise PermanentError(
                f"Reference bundle {self.name} has {len(files)} files for '{role}', one is needed. "
                "Make the bundle again with all its sources (./run reference make --help)."
            )
        return files[0]

    def of(self, role: Role) -> tuple[BundleFile, ...]:
        """All files of a role."""
        return tuple(file for file in self.files if file.role is role)

    @property
    def sha256(self) -> str:
        """Digest of the manifest, and through the files' checksums of the whole bundle."""
        # What a bundle does not say must not change the digest of bundles that were made before it could be said.
        unsaid = {"pseudo_autosomal"} if self.pseudo_autosomal is None else None
        return digest(self.model_dump(mode="json", exclude=unsaid))
