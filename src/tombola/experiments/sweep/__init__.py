"""Many runs from one file: grids, lists and random draws of options, with seeds."""
