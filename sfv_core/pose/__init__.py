"""Finding a person in pictures: one module for each estimator, all giving Keypoints."""
