"""Figures, as PDF and PNG: of tables, of images, of a training. May import what its room may."""
