"""What to do next: maps, goals, exploration, planning, safety. numpy and Protocols only."""
