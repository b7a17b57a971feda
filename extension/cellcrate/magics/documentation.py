"""What ``%%container?``, ``%container?``, ``%%image?`` and ``%image?`` show."""

from __future__ import annotations

from cellcrate.commands.registry import CONTAINER, IMAGE
from cellcrate.options.build import CELL_BUILD_GROUPS
from cellcrate.options.documentation import document
from cellcrate.options.run import CELL_GROUPS

__all__ = ["cell_help", "image_cell_help", "image_line_help", "line_help"]

_CELL = """\
Run the cell in a container.

  %%container [OPTIONS] [IMAGE] [COMMAND] [ARGUMENT...]

Without a command, the cell is a script that the container's sh runs; --python, --interpreter or a
first line such as #!/usr/bin/env python3 choose another program:

  %%container
  echo "I am process $$ of my own little world"
  ps aux

With a command, the cell is its standard input:

  %%container cellcrate/base sort -r
  apples
  pears

The options are those of docker run, with its names and meanings; they come before the image. The
image is the first word, or what --image names; without one it is cellcrate/base, packed from
programs of this machine, so that no network is needed (CELLCRATE_IMAGE names another). The image's
entry point is left out where the cell is a script. {name} and $name take Python's variables, in the
first line only.

Output comes as it is written. The stop button sends SIGINT, then the stop signal, then SIGKILL; a
second press kills at once. An exit status other than 0 is an error that names it. The container is
removed when the cell ends, also when the kernel dies, unless --no-rm or --detach say otherwise.

CELLCRATE_HOST, or DOCKER_HOST, points the same cells at Docker or Podman.

"""

_IMAGE_CELL = """\
Build an image from the Dockerfile in the cell.

  %%image NAME[:TAG] [OPTIONS]

  %%image greeter
  FROM cellcrate/base
  RUN echo "Hello from an image" > /greeting
  CMD ["cat", "/greeting"]

Each step shows as it comes: what it printed, how long it took, or that an earlier build had done it
already (cached). At the end the image shows itself as its stack of layers. Then %%container greeter
runs it.

COPY and ADD find no files unless --context names a folder: --context . is the notebook's own. Its
.dockerignore says what is left out. --target, --build-arg and the others are those of docker build.
A step that fails is shown with its line of the cell, what it printed and its exit status. The stop
button stops the build.

"""


def cell_help() -> str:
    """Return the documentation of ``%%container``."""
    return _CELL + document(CELL_GROUPS) + "\n"


def line_help() -> str:
    """Return the documentation of ``%container``: each command with its options."""
    return CONTAINER.documentation()


def image_cell_help() -> str:
    """Return the documentation of ``%%image``."""
    return _IMAGE_CELL + document(CELL_BUILD_GROUPS) + "\n"


def image_line_help() -> str:
    """Return the documentation of ``%image``: each command with its options."""
    return IMAGE.documentation()
