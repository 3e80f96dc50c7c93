"""Operators as loop programs for the host, with schedules and the layouts of their weights."""
