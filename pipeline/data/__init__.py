"""CIFAR-10 and ImageNet weights: where they come from, verified, and what is made of the images."""
