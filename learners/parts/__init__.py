"""What recipes are composed of: encoders, targets, predictors, masks, heads; one idea per file."""
