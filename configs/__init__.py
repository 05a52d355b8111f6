"""One configuration tree, composed of the packages' own models, with the origin of every value."""
