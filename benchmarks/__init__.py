"""What is compared with what: `make bench`. Each module writes rows to results/, and the ratios go together."""
