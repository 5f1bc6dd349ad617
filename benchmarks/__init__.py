"""What the project costs, measured; a package of its own, since another distribution has one of this name."""
