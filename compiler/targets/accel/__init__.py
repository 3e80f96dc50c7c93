"""The accelerator: layouts, intrinsics, tasks, placement, tokens, programs."""
