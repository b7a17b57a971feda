"""The controllers of cgroup v2: one module each, all with the functions of ``Controller``."""
