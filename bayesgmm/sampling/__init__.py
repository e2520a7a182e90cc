"""Draws of the posterior: settings, samplers, the result and its store."""
