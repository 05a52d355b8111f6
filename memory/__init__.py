"""What was seen: records, replay store, object memory. No torch here."""
