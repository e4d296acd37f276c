"""Everything to be known of a GPU in one call of under nine minutes: `python -m benchmarks.gpu`.

It needs torch, torchvision, numpy, scipy, pandas, Pillow, scikit-learn, and nothing else.
"""
