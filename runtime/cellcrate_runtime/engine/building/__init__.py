"""Builds: a Dockerfile and a context become an image.

``build`` is the whole; ``stages`` does one stage, step by step; ``running`` makes the containers of
RUN, ``copying`` the layers of COPY and ADD, ``caching`` finds what an earlier build made.
"""
