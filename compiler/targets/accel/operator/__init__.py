"""Integer operators on the accelerator: tensor expressions in its layouts, and schedules."""
