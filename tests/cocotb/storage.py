"""The bytes behind the bus, whichever model of the bus serves them."""


class BeyondEnd(Exception):
    """An access that the bus answers with an error."""


class Storage:
    """Memory from address 0 on.

    Members:
        data: its bytes.
        flipped_bit: place in `data` of a bit that each write of its byte turns over; None in a good memory.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.flipped_bit: int | None = None

    def read(self, address: int, length: int) -> bytes:
        """The bytes from `address` on.

        Raises:
            BeyondEnd: if some are not there.
        """
        self._require(address, length)
        return bytes(self.data[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        """Replace the bytes from `address` on.

        Raises:
            BeyondEnd: if some are not there; nothing is written then.
        """
        self._require(address, len(data))
        self.data[address : address + len(data)] = data
        if self.flipped_bit is not None and address <= self.flipped_bit // 8 < address + len(data):
            self.data[self.flipped_bit // 8] ^= 1 << self.flipped_bit % 8

    def _require(self, address: int, length: int) -> None:
        if address + length > len(self.data):
            raise BeyondEnd(f"{length} bytes at {address:#x} of a memory of {len(self.data):#x} bytes")
