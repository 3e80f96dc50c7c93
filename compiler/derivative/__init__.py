"""Derivatives: functions that compute the gradients of functions."""
