"""Plots, tables and the HTML page."""
