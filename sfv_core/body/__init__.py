"""The body model: the project's stand-in and licensed SMPL files on one path."""
