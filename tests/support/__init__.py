"""What several test modules share: checkouts, servers, small data sets, told numbers, and readings of results."""
