"""Sex chromosomes, the mitochondrion, and how many copies of each a sample has."""

from enum import StrEnum, unique


@unique
class Sex(StrEnum):
    """Sex by karyotype, as the order gives it or the reads show it: XX or XY."""

    FEMALE = "female"
    MALE = "male"
