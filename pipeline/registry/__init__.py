"""The model registry: versions, the gate, and who is champion."""
