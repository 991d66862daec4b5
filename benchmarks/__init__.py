"""What Themeline does in a second, on the machine at hand. Run as `python -m benchmarks`."""
