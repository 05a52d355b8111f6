"""What was learned: world model, losses, rounds, gate, checkpoints. torch stays inside."""
