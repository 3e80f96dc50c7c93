"""Boards, build flow and resource reports."""
