"""Whether draws and model may be believed."""
