"""Reading recorded robot logs: rosbag2, ROS 1 bags and LeRobot datasets as a life's steps."""
