"""Objects through a film: the same thing in every frame where it is."""
