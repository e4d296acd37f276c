"""The metrics of MVTec LOCO AD, and the statistics of their differences: arrays in, numbers out.

May import: no room. Is imported by: data, inference, report.
"""
