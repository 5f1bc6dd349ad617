"""The cost of privacy: a model's score against epsilon, over mechanisms and budgets."""
