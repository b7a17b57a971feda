"""The controllers of cgroup v1: one module each, all with the functions of ``Controller``."""
