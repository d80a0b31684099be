"""What maintains the repository and is no part of the product: smoke run, README, screenshots."""
