"""Where deflate blocks begin inside packed data, and how to begin unpacking there (RFC 1951).

A block may begin at any bit. No well-kept library gives both the fast decoder of ISA-L and such places, so they are
found afterwards: a dynamic block's header is improbable enough that a scan leaves a few candidates, and a candidate is
taken only when unpacking from it gives again the text that is known to come.
"""

import numpy as np
from isal import igzip_lib
from numpy.typing import NDArray

WINDOW_BYTES = 1 << 15
"""How far back deflate refers."""

_HEADER_BITS = 17  # final, kind (2), counts of literal (5), distance (5) and code-length (4) codes
_DYNAMIC = 0b100  # not final, kind 2, least significant bit first
_CODES_PER_LOOKUP = 4
_KRAFT_ONE = 128  # a complete code's sum of 2^(7 - length)

# What fills the bits before a block: blocks without text. One of fixed codes has 10 bits, so these alone fill an even
# number of bits of a byte; one of dynamic codes can be made of an odd number.
_EMPTY_FIXED, _EMPTY_FIXED_BITS = 0b0000000_01_0, 10


def _empty_dynamic() -> tuple[int, int]:
    """An empty block of an odd number of bits: (bits, how many), least significant bit first."""
    zeros, one, none = "0", "11", "10"  # codes of: a run of zeros, length 1, length 0
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
    lengths = {18: 1, 0: 2, 1: 2}
    fields = ["0", "01", "00000", "00000", "1111"]  # not final, dynamic, 257 literals, 1 distance, 19 code lengths
    fields += [f"{lengths.get(symbol, 0):03b}"[::-1] for symbol in order]
    fields += [zeros, f"{138 - 11:07b}"[::-1], zeros, f"{117 - 11:07b}"[::-1], one, one, none, "1"]
    bits = "".join(fields)
    return int(bits[::-1], 2), len(bits)


def with_prefix(packed: bytes, bit: int) -> bytes:
    """Packed data whose first block begins at a bit (0 to 7) of the first byte, as data that begin with a block."""
    if bit == 0:
        return packed
    value, size = _empty_dynamic() if bit % 2 else (0, 0)
    while size % 8 != bit:
        value |= _EMPTY_FIXED << size
        size += _EMPTY_FIXED_BITS
    value |= (packed[0] >> bit) << size
    return value.to_bytes(size // 8 + 1, "little") + packed[1:]


def candidates(packed: bytes, end: int) -> list[int]:
    """Bit places before byte `end`, last first, where the header of a dynamic block may begin."""
    size = min(end, len(packed) - 16)
    if size <= 0:
        return []
    # The 64 bits from each byte on; shifted by up to 7 they still hold 57.
    words = np.ndarray((len(packed) - 7,), "<u8", packed, strides=(1,))
    found = []
    for shift in range(8):
        heads = words[:size] >> np.uint64(shift)
        fits = (heads & np.uint64(7)) == _DYNAMIC
        fits &= ((heads >> np.uint64(3)) & np.uint64(31)) < 30
        fits &= ((heads >> np.uint64(8)) & np.uint64(31)) < 30
        places = np.flatnonzero(fits)
        counts = ((heads[places] >> np.uint64(13)) & np.uint64(15)).astype(np.uint64) + np.uint64(4)
        bits = places * 8 + shift + _HEADER_BITS
        lengths = words[bits >> 3] >> (bits & 7).astype(np.uint64)
        lengths &= (np.uint64(1) << (counts * np.uint64(3))) - np.uint64(1)
        sums = np.zeros(len(places), np.int64)
        for at in range(0, 19, _CODES_PER_LOOKUP):
            sums += _KRAFT[(lengths >> np.uint64(3 * at)) & np.uint64(0xFFF)]
        found.append(places[sums == _KRAFT_ONE] * 8 + shift)
    return [int(place) for place in np.sort(np.concatenate(found))[::-1]]


def _kraft_sums() -> NDArray[np.int64]:
    """The sum of 2^(7 - length) over four code lengths of 3 bits; a length of 0 counts nothing."""
    one = np.array([0, *(1 << (7 - length) for length in range(1, 8))])
    codes = np.arange(1 << (3 * _CODES_PER_LOOKUP))
    return np.asarray(sum(one[(codes >> (3 * at)) & 7] for at in range(_CODES_PER_LOOKUP)), np.int64)


_KRAFT = _kraft_sums()


def last_block(packed: bytes, end: int, text: bytes, limit: int) -> tuple[int, int] | None:
    """The last place where unpacking can begin: (bit of the packed data, offset into the text); None without one.

    Args:
        packed: Packed data of one gzip member.
        end: Only blocks that begin before this byte of them are looked for.
        text: What these data unpack to, with what came before; its end is all that the data's end gives.
        limit: The place must not lie behind this offset into the text.
    """
    nothing = bytes(WINDOW_BYTES)
    for bit in candidates(packed, end):
        data = with_prefix(packed[bit >> 3 :], bit & 7)
        size = _unpacked_size(data, nothing, len(text))
        if size is None:
            continue
        at = len(text) - size
        if not WINDOW_BYTES <= at <= limit:
            continue
        again = unpacked(data, text[at - WINDOW_BYTES : at], size + 1)
        if again is not None and again == text[at:]:
            return bit, at
    return None


def _unpacked_size(data: bytes, window: bytes, limit: int) -> int | None:
    # A false place breaks within some hundred bytes, so a little is tried before all.
    if unpacked(data[:2048], window, limit + 1) is None:
        return None
    text = unpacked(data, window, limit + 1)
    return None if text is None or not 0 < len(text) <= limit else len(text)


def unpacked(data: bytes, window: bytes, limit: int) -> bytes | None:
    """What raw deflate data unpack to, up to a limit; None when they are none or end."""
    decoder = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE, zdict=window)
    try:
        text = decoder.decompress(data, limit)
    except igzip_lib.IsalError:  # type: ignore[misc]  # its stub forgets the base
        return None
    return None if decoder.eof else bytes(text)
