"""The parts of `adapt`: what is planned, what is tried and measured, and what is written."""
