"""Training: functions whose weights are parameters, losses, and steps of an optimiser, all in the IR."""
