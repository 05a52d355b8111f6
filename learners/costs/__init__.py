"""What a plan is worth in latent space, beyond the distance of its end from the goal."""
