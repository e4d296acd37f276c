"""Speed, as ratios that hold on any machine, and which faults the tests notice: RESULTS.md. Run from the checkout."""
