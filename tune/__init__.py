"""Tuning: measured points, models that learn from them, and searches over schedules and hardware."""
