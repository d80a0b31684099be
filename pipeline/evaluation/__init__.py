"""Figures of merit, calibration, and the ensemble."""
