"""Operators of networks by definition, and with meanings of their own where speed asks for it."""
