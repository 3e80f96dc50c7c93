from itertools import pairwise

from tilewright.isa.register import BASE_REGISTERS, MAGIC, REGISTERS, SPACE_BYTES, WORD_BYTES, RegisterAccess


def test_registers_do_not_overlap_and_pairs_are_aligned():
    rows = list(REGISTERS.values())
    for row, following in pairwise(rows):
        assert row.offset + row.words * WORD_BYTES <= following.offset
    assert all(row.offset % (row.words * WORD_BYTES) == 0 for row in rows)
    assert rows[-1].offset + rows[-1].words * WORD_BYTES <= SPACE_BYTES


def test_the_space_is_a_power_of_two():
    assert SPACE_BYTES & (SPACE_BYTES - 1) == 0


def test_a_host_finds_the_magic_and_the_version_first():
    assert [REGISTERS[name].offset for name in ("magic", "isa_version", "config_digest")] == [0, 4, 8]
    assert MAGIC.to_bytes(4, "little") == b"TLWR"


def test_a_host_writes_what_a_program_needs_and_nothing_else():
    written = {name for name, row in REGISTERS.items() if row.access is RegisterAccess.WRITE}
    bases = {f"base_{index}" for index in range(BASE_REGISTERS)}
    assert written == bases | {"control", "program_address", "program_length", "timeout", "expected_digest"}


def test_every_engine_counts_its_cycles_and_every_mover_its_bytes():
    counters = {
        f"{engine}_{state}"
        for engine in ("load", "matrix", "vector", "store")
        for state in ("busy", "waiting", "stalled")
    }
    counters |= {f"{mover}_bytes" for mover in ("fetch", "load", "store")} | {"cycles"}
    assert counters <= set(REGISTERS)
    assert all(REGISTERS[name].bits == 64 for name in counters)
