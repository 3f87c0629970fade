"""What human poses look like, learnt from any folder of motion capture."""
