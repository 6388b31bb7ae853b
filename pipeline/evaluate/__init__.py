"""How right a run is, measured against truth."""
