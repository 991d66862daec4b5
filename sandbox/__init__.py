"""Stand-ins of the four providers, for the demo, the tests and the benchmarks. Imports nothing of ours."""
