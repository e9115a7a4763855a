"""Long work, kept as it goes and resumed."""
