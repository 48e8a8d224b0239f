"""Whole numbers <-> bytes: unsigned LEB128, seven bits a byte, the lowest first."""

from __future__ import annotations

from tombola.errors import TicketError

LARGEST = (1 << 63) - 1


def write_number(number: int) -> bytes:
    """The bytes of a number in [0, 2^63).

    >>> write_number(300).hex()
    'ac02'
    """
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


class Reader:
    """Reads numbers and bytes one after another. Whatever is wrong raises TicketError, calling the
    bytes `what` (a plural).

    >>> Reader(b"\\xac\\x02", "counts").number()
    300
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._at = 0
        self._what = what

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def number(self, most: int = LARGEST) -> int:
        """The next number. Raises TicketError where it is greater than `most`."""
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if number > most or shift > 70:
                raise TicketError(f"the ticket's {self._what} hold a number above {most}")
            if byte < 0x80:
                return number

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        if count > self.left:
            raise TicketError(f"the ticket's {self._what} end early")
        self._at += count
        return self._data[self._at - count : self._at]

    def end(self) -> None:
        """Raise TicketError unless every byte was read."""
        if self.left:
            raise TicketError(f"the ticket's {self._what} go on for {self.left} bytes after their end")
