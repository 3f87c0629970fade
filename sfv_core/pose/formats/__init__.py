"""Keypoints that other programs wrote, one module for each kind of file."""
