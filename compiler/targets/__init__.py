"""Targets: what loop programs are turned into."""
