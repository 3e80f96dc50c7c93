"""The wire format of protocol buffers, as far as traces need it: protobuf.dev/programming-guides/encoding."""

_VARINT, _FIXED64, _BYTES = 0, 1, 2
"""Wire types."""


def varint(value: int) -> bytes:
    """A number from 0 on, seven bits a byte, the lowest first; each byte but the last has its top bit set."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field: int, value: int) -> bytes:
    """A field with a number from 0 on: an unsigned integer, an int64, an enumeration or a bool."""
    return varint(field << 3 | _VARINT) + varint(value)


def fixed(field: int, value: int) -> bytes:
    """A field of type fixed64."""
    return varint(field << 3 | _FIXED64) + value.to_bytes(8, "little")


def message(field: int, *parts: bytes) -> bytes:
    """A field with a message, given as its own fields."""
    return _delimited(field, b"".join(parts))


def text(field: int, value: str) -> bytes:
    """A field with a text."""
    return _delimited(field, value.encode())


def _delimited(field: int, contents: bytes) -> bytes:
    return varint(field << 3 | _BYTES) + varint(len(contents)) + contents
