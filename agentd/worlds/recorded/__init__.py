"""A recorded log as a world."""
