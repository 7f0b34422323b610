"""The protocol-buffer wire format, as far as a frozen graph needs it."""

from collections.abc import Iterator

Field = tuple[int, int | bytes]


def fields(message: bytes) -> Iterator[Field]:
    """Yield (field number, value): int for varints, bytes for everything else.

    Raises ValueError when the message ends inside a field or uses a wire type that
    proto3 does not have.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(message, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if position + length > len(message):
            raise ValueError(
                f"field {number} needs {length} bytes at byte {position}, "
                f"{len(message) - position} are left"
            )
        yield number, message[position : position + length]
        position += length


def varints(packed: bytes) -> list[int]:
    """All integers of a packed repeated field."""
    values, position = [], 0
    while position < len(packed):
        value, position = _varint(packed, position)
        values.append(value)
    return values


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError(f"the message ends inside a number at byte {position}")
