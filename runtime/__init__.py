"""Devices behind one protocol: the simulator and the gates."""
