"""The commands. Their bodies import what they need when they run, so that `--help` is quick."""
