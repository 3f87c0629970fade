"""The lifter: a small temporal network that corrects the detector's depth, or makes 3D of 2D alone."""
