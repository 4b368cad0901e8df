"""The manifest of a reference bundle."""

import pytest
from pydantic import ValidationError

from shared.domain.reference import BundleFile, ReferenceManifest, Role
from shared.errors import PermanentError
from tests.factories import make_manifest


def file(role: Role, path: str = "x") -> BundleFile:
    return BundleFile(path=path, role=role, size=1, sha256="0" * 64)


def test_the_only_file_of_a_role_is_found() -> None:
    assert make_manifest().one(Role.FASTA).path == "reference.fa"


@pytest.mark.parametrize("count", [0, 2])
def test_a_role_without_exactly_one_file_is_refused_with_what_to_do(count: int) -> None:
    manifest = make_manifest(files=tuple(file(Role.CLINVAR, str(number)) for number in range(count)))
    with pytest.raises(
        PermanentError, match=rf"has {count} files for 'clinvar', one is needed\. Make the bundle again"
    ):
        manifest.one(Role.CLINVAR)


def test_the_files_of_a_role_keep_their_order() -> None:
    manifest = make_manifest(files=(file(Role.ALIGNER_INDEX, "b"), file(Role.FASTA), file(Role.ALIGNER_INDEX, "a")))
    assert [one.path for one in manifest.of(Role.ALIGNER_INDEX)] == ["b", "a"]


def test_any_change_of_a_file_changes_the_bundles_digest_and_its_json_does_not() -> None:
    manifest = make_manifest()
    changed = make_manifest(files=(file(Role.FASTA, "reference.fa").model_copy(update={"sha256": "1" * 64}),))
    assert manifest.sha256 != changed.sha256
    assert ReferenceManifest.model_validate_json(manifest.to_json()).sha256 == manifest.sha256


@pytest.mark.parametrize("name", ["GRCh38", "", "-x", "a/b", "a" * 64])
def test_a_bundles_name_that_no_folder_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        make_manifest(name=name)
