"""Measurements of the project's time and memory; a package, since another distribution has one of its name."""
