"""The host's register bus, driven cycle by cycle in Amaranth's simulator."""

from tilewright.isa.register import WORD_BYTES


async def write(ctx, unit, offset, word, strobe=0xF):
    """Write a word, and wait for the answer."""
    for name, value in (("awaddr", offset), ("wdata", word), ("wstrb", strobe), ("bready", 1)):
        ctx.set(getattr(unit, f"s_axi_{name}"), value)
    await handshake(ctx, unit, "aw", "w")
    while not ctx.get(unit.s_axi_bvalid):
        await ctx.tick()
    await ctx.tick()


async def read(ctx, unit, offset):
    """Read a word."""
    ctx.set(unit.s_axi_araddr, offset)
    ctx.set(unit.s_axi_rready, 1)
    await handshake(ctx, unit, "ar")
    while not ctx.get(unit.s_axi_rvalid):
        await ctx.tick()
    word = ctx.get(unit.s_axi_rdata)
    await ctx.tick()
    return word


async def handshake(ctx, unit, *channels):
    """Show each channel's valid for one cycle in which it is taken."""
    for channel in channels:
        valid, ready = (getattr(unit, f"s_axi_{channel}{end}") for end in ("valid", "ready"))
        ctx.set(valid, 1)
        while not ctx.get(ready):
            await ctx.tick()
        await ctx.tick()
        ctx.set(valid, 0)


async def read_row(ctx, unit, row):
    """All of a register."""
    words = [await read(ctx, unit, row.offset + WORD_BYTES * place) for place in range(row.words)]
    return sum(word << 32 * place for place, word in enumerate(words))
