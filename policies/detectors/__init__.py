"""Detectors: from one observation to things in the world, behind `policies.protocols.Detector`."""
