"""Whole networks: split between accelerator and host, and compiled part by part."""
