"""From keypoints to a motion: camera, ground, objective and its minimisation."""
