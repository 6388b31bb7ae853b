"""What a run says of itself: one set of figures, and its renderings."""
