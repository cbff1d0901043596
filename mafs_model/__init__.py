"""The shared model: inference core without ROS and without training dependencies."""
