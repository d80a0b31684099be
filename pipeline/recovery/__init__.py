"""What brings a lost, moved or damaged store or lock file back."""
