"""Schedules: primitives, one file each, that change how a loop program runs and never what it means."""
