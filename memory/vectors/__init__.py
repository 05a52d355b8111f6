"""Search vectors of views, one space per encoder."""
