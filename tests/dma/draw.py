"""Random blocks, and random environments for them."""

from dma.reference import Burst, Job, World, load_vectors, memory_vectors, outside, store_vectors
from tilewright.isa.config import Config
from tilewright.isa.instruction import Load, Store
from tilewright.isa.memory import Memory

SHALLOW = {
    "activation_banks": 4,
    "activation_vectors": 64,
    "weight_banks": 2,
    "weight_vectors": 128,
    "accumulator_banks": 2,
    "accumulator_vectors": 32,
    "parameter_banks": 1,
    "parameter_vectors": 16,
}
CONFIGS = {
    "bus-fits": Config(rows=4, cols=16, bus_bytes=16, burst_bytes=64, **SHALLOW),
    "bus-narrow": Config(rows=16, cols=16, bus_bytes=8, burst_bytes=256, outstanding_reads=3, **SHALLOW),
    "bus-wide": Config(rows=4, cols=4, bus_bytes=64, burst_bytes=256, outstanding_writes=3, **SHALLOW),
    "bus-between": Config(
        rows=4, cols=4, bus_bytes=8, burst_bytes=64, outstanding_reads=1, outstanding_writes=1, **SHALLOW
    ),
}
"""Vectors as wide as the bus, wider, narrower, and int8 narrower while int32 is wider."""


def draw_world(random, config, memory_bytes=1 << 14):
    """A memory outside with random bytes, latency and outstanding reads; bases at its middle."""
    latency = random.choice((1, 2, 3, 7, random.randint(1, 60)))
    outstanding = random.choice((1, 2, random.randint(1, 32)))
    bases = tuple(memory_bytes // 2 + 64 * random.randint(-8, 8) for _ in range(8))
    return World(config, bases, latency, outstanding, bytearray(random.randbytes(memory_bytes)))


def draw_load(random, config):
    """Any load that is dispatched without a fault."""
    pads = [random.choice((0, 0, 1, random.randint(0, 4))) for _ in range(4)]
    block = draw_block(random, config)
    if random.random() < 0.15:
        block[random.choice(("n_x", "n_y"))] = 0
    names = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    load = Load(**block, **dict(zip(names, pads, strict=True)), pad_value=random.randint(-128, 127))
    rows = load.pad_top + load.n_y + load.pad_bottom
    return load if rows and load.pad_left + load.n_x + load.pad_right else draw_load(random, config)


def draw_store(random, config):
    """Any store that is dispatched without a fault."""
    block = draw_block(random, config)
    vector_bytes = config.vector_bytes(Memory(block["memory"]))
    size = random.choice((vector_bytes, random.randint(1, vector_bytes)))
    return Store(**block, chip_stride_x=random.randint(-2, 2), bytes=size)


def draw_block(random, config):
    """The fields that loads and stores have in common."""
    memory = random.choice(list(Memory))
    beat, vector = config.transfer_bytes(memory), config.vector_bytes(memory)
    long = random.random() < 0.2
    counts = [random.choice((1, 1, 2)), random.choice((1, 2, random.randint(1, 4)))]
    counts.append(random.randint(1, 20 if long else 4))
    strides = [random.choice((0, 1, -1, random.randint(-20, 20))) * beat for _ in range(2)]
    dense = long or random.random() < 0.5
    return {
        "base": random.randrange(8),
        "offset": random.randint(0, 1024 // beat) * beat,
        "memory": memory,
        "address": random.randrange(config.vectors(memory)),
        "n_z": counts[0],
        "n_y": counts[1],
        "n_x": counts[2],
        "stride_z": strides[0],
        "stride_y": strides[1],
        "stride_x": vector if dense else random.choice((0, -vector, beat * random.randint(-9, 9))),
        "chip_stride_z": random.randint(-8, 8),
        "chip_stride_y": random.randint(-4, 4),
    }


def is_clean(world, instruction):
    """Whether all addresses of a block are inside."""
    vectors = load_vectors if isinstance(instruction, Load) else store_vectors
    chips = [chip for chip, _ in vectors(world, instruction)]
    bytes_each = world.config.vector_bytes(Memory(instruction.memory))
    places = [address for _, address in memory_vectors(world, instruction)]
    there = all(address + bytes_each <= len(world.memory) for address in places)
    return there and not any(outside(world.config, instruction, chip) for chip in chips)


def draw_jobs(random, world, draw, count, clean=True):
    """`count` instructions, some back to back, some late; if `clean` without faults."""
    jobs, wanted = [], 0
    while len(jobs) < count:
        instruction = draw(random, world.config)
        if clean and not is_clean(world, instruction):
            continue
        wanted += random.choice((0, 0, 0, random.randint(0, 40), random.randint(0, 90)))
        jobs.append(Job(instruction, wanted))
    return jobs


def draw_fetches(random, config, count):
    """Competing reads: (earliest cycle, burst)."""
    fetches, wanted = [], 1
    size = config.bus_bytes.bit_length() - 1
    for _ in range(count):
        wanted += random.choice((0, 1, 2, random.randint(0, 60)))
        address = 64 * random.randrange(64)
        room = config.burst_bytes - address % config.burst_bytes
        beats = 64 * random.randint(1, room // 64) // config.bus_bytes
        fetches.append((wanted, Burst(address, beats, size, owner=1)))
    return fetches
