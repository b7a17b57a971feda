"""What the Linux kernel offers to build a container with: mechanism, no policy."""
