"""What any lesson needs, whatever it teaches."""
