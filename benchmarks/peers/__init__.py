"""What others do with a job per recipient. The programs run in an environment of their own (`make peers-bench`)."""
