"""The machine in time: engines, queues, tokens and the memory bus, exact to the cycle."""
