"""A robot that speaks ROS 2, and the links that reach it."""
