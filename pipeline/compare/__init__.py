"""Two runs side by side: what differs, and whether that may be."""
