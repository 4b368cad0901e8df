"""Values that stand in sample sheets of any form."""

from collections.abc import Mapping, Sequence

from shared.domain.reads import is_sample_name
from shared.domain.sheet import Field
from shared.errors import PermanentError

_SEXES = {"xx": "female", "f": "female", "female": "female", "xy": "male", "m": "male", "male": "male"}
_UNKNOWN = frozenset({"", "na", "n/a", "unknown", "."})


def common_fields(rows: Sequence[Mapping[str, str]]) -> dict[Field, str]:
    """What the rows of one sample say of it; empty fields are left out, and sex is `female` or `male`.

    Raises:
        PermanentError: When they differ; with the reason, without the place.
    """
    fields: dict[Field, str] = {}
    for field in Field:
        values = {row.get(field, "") for row in rows}
        if len(values) > 1:
            raise PermanentError(
                f"its rows differ in `{field}`. Say the same in each, or give different samples different names."
            )
        value = values.pop()
        if field is Field.SEX:
            value = read_sex(value)
        if value:
            fields[field] = value
    return fields


def check_sample_name(sample: str, column: str) -> None:
    """Refuse what is no name of a sample.

    Raises:
        PermanentError: With the reason, without the place.
    """
    if not sample:
        raise PermanentError(f"the column `{column}` is empty. Fill in the sample's name.")
    if not is_sample_name(sample):
        raise PermanentError(
            f"the name in the column `{column}` is not one for a sample: use 1 to 64 letters, digits, dots, '_' and "
            "'-', beginning with a letter or digit."
        )


def read_sex(value: str) -> str:
    """`female`, `male`, or nothing when it is not known.

    >>> read_sex("XX"), read_sex("NA")
    ('female', '')

    Raises:
        PermanentError: For any other word.
    """
    if value.lower() in _UNKNOWN:
        return ""
    try:
        return _SEXES[value.lower()]
    except KeyError:
        raise PermanentError("`sex` is none of XX, XY, F, M, female, male, NA. Correct it.") from None
