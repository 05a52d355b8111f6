"""What a life looks like on a terminal: pure functions from its answers to drawings."""
