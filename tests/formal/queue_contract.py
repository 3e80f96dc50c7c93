"""A queue inside of a unit, by what the queue's own proof says of it."""

from amaranth import Signal

from formal.proof_bench import FreeUnit, ProofBench


def keep_contract(bench: ProofBench, name: str, queue: FreeUnit, depth: int) -> Signal:
    """Assume what a queue promises, claim what it asks for; the items that are in it are counted.

    Which item is at its head is left open, but that it stays there until it is taken.
    """
    word = name.replace(" ", "_")
    bits = (depth + 1).bit_length() + 1
    count = bench.count(queue.push, less=queue.pop, bits=bits, name=f"{word}_count")
    bench.assume((queue.valid == (count != 0)) & (queue.room == (count < depth)))
    head = queue.head.as_value()
    stayed = bench.past(queue.valid & ~queue.pop, name=f"{word}_stayed")
    bench.assume(~stayed | (head == bench.past(head, name=f"{word}_head")))
    bench.claim(f"what is put into the {name} finds room", queue.room, when=queue.push)
    bench.claim(f"what is taken out of the {name} is there", queue.valid, when=queue.pop)
    bench.claim(f"the {name} are never more than there is room for", count <= depth)
    return count
