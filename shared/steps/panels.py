"""Install a test's definition: its BED file under a name that follows from its bytes, then the definition."""

import hashlib
from pathlib import Path

from pydantic import ValidationError

from shared import naming
from shared.domain.test_definition import TestDefinition
from shared.errors import PermanentError
from shared.formats.bed import MAX_BED_BYTES
from shared.ports import BlobStore

DEFINITION_NAME = "definition.json"


def install_definition(folder: Path, blobs: BlobStore) -> TestDefinition:
    """Upload a definition with its BED; a definition that is there is replaced, its BED file stays.

    An order keeps the definition that held when it was first seen, so the BED of an older one must stay. Orders against
    any bundle may follow the definition, so its contigs are checked with each order, not here.

    Raises:
        PermanentError: When the definition is not valid or its BED is not there or empty.
    """
    path = folder / DEFINITION_NAME
    if not path.is_file():
        raise PermanentError(f"{folder} holds no {DEFINITION_NAME}; see the README for what it says.")
    try:
        definition = TestDefinition.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'definition'}: {e['msg']}" for e in error.errors())
        raise PermanentError(f"{path} is not a valid test definition: {faults}. Correct it.") from error
    if definition.targets is not None:
        bed = folder / definition.targets
        if not bed.is_file() or not bed.read_bytes().strip():
            raise PermanentError(f"{path} names {definition.targets}, which is not beside it, or empty. Put it there.")
        data = bed.read_bytes()
        if len(data) > MAX_BED_BYTES:
            raise PermanentError(f"{bed} has {len(data):,} bytes; a BED file may have {MAX_BED_BYTES:,}.")
        name = f"{bed.stem[:80]}-{hashlib.sha256(data).hexdigest()[:12]}.bed"
        definition = definition.model_copy(update={"targets": name})
        blobs.create(naming.definition_targets(definition.code, name), data)
    with blobs.writer(naming.definition_blob(definition.code)) as stream:
        stream.write(definition.to_json())
    return definition
