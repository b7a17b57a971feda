"""Images go from one program to another and back, and their trees stay the same in everything."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cellcrate_runtime.images import Image, ImageStore
from images import peers, trees
from images.awkward import change, fill
from images.trees import Tree

pytestmark = [
    pytest.mark.peer,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="Files of several users, and devices, are made."),
]

AWKWARD = "localhost/awkward:1"


@pytest.fixture(scope="module")
def podman() -> Iterator[peers.Podman]:
    """Podman with an image that has everything awkward."""
    with peers.podman() as podman:
        make_awkward(podman)
        yield podman


def make_awkward(podman: peers.Podman) -> None:
    base = "scratch"
    for number, step in enumerate((fill, change)):
        container = podman.buildah("from", base)
        root = Path(podman.buildah("mount", container))
        step(root)
        base = AWKWARD if number else f"{AWKWARD}-base"
        podman.buildah("config", "--cmd", "/programs/setuid", container)
        podman.buildah("commit", "--quiet", container, base)
        podman.buildah("rm", container)


@pytest.fixture(scope="module")
def expected(podman: peers.Podman) -> Tree:
    """The tree of that image, as buildah mounts it."""
    container = podman.buildah("from", AWKWARD)
    try:
        return below(trees.describe(podman.buildah("mount", container)))
    finally:
        podman.buildah("rm", container)


def below(tree: Tree) -> Tree:
    """A tree without the root folder itself.

    No layer here says anything of that: each program makes it as it likes.
    """
    return {path: node for path, node in tree.items() if path != "."}


def tree_of(store: ImageStore, image: Image) -> Tree:
    return below(trees.describe_stack(store.lower_dirs(image)))


def load(store: ImageStore, archive: Path) -> list[Image]:
    with archive.open("rb") as file:
        return [store.get(item.reference or item.image_id) for item in store.load(file)]


def save(store: ImageStore, path: Path, *names: str) -> Path:
    with path.open("wb") as file:
        store.save(names, file)
    return path


def packed(folder: Path) -> Path:
    """A folder as an archive."""
    archive = folder.with_suffix(".tar")
    peers.call("tar", "-C", folder, "-cf", archive, ".")
    return archive


# How the image leaves podman's store: the archive that is to be loaded.


def podman_save(form: str) -> Callable[[peers.Podman, Path], Path]:
    def save(podman: peers.Podman, folder: Path) -> Path:
        podman("save", "--format", form, "--output", f"{folder}/image.tar", AWKWARD)
        return folder / "image.tar"

    return save


def buildah_push(target: str) -> Callable[[peers.Podman, Path], Path]:
    def push(podman: peers.Podman, folder: Path) -> Path:
        podman.buildah("push", "--quiet", AWKWARD, f"{target}:{folder}/image:{AWKWARD}")
        return packed(folder / "image") if (folder / "image").is_dir() else folder / "image"

    return push


def skopeo_copy(podman: peers.Podman, folder: Path) -> Path:
    peers.need("skopeo")
    podman.buildah("push", "--quiet", AWKWARD, f"oci:{folder}/layout:1")
    target = f"oci-archive:{folder}/copied.tar:{AWKWARD}"
    peers.call("skopeo", "copy", "--quiet", f"oci:{folder}/layout:1", target)
    return folder / "copied.tar"


def umoci_repack(podman: peers.Podman, folder: Path) -> Path:
    """What umoci writes has a layer of its own."""
    peers.need("umoci")
    podman.buildah("push", "--quiet", AWKWARD, f"oci:{folder}/layout:1")
    image = f"{folder}/layout:1"
    peers.call("umoci", "unpack", "--image", image, folder / "bundle")
    (folder / "bundle/rootfs/by umoci").write_text("new")
    peers.call("umoci", "repack", "--image", image, folder / "bundle")
    (folder / "bundle/rootfs/by umoci").unlink()
    return packed(folder / "layout")


WRITERS = {
    "podman save docker-archive": podman_save("docker-archive"),
    "podman save oci-archive": podman_save("oci-archive"),
    "buildah push oci": buildah_push("oci"),
    "buildah push docker-archive": buildah_push("docker-archive"),
    "skopeo copy oci-archive": skopeo_copy,
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_others_write_is_here_as_it_was(
    podman: peers.Podman,
    expected: Tree,
    store: ImageStore,
    tmp_path: Path,
    write: Callable[[peers.Podman, Path], Path],
) -> None:
    [image] = load(store, write(podman, tmp_path))
    assert trees.differences(expected, tree_of(store, image)) == []


def test_what_umoci_writes_is_here_as_it_was(
    podman: peers.Podman, expected: Tree, store: ImageStore, tmp_path: Path
) -> None:
    [image] = load(store, umoci_repack(podman, tmp_path))
    tree = tree_of(store, image)
    assert tree.pop("by umoci")["size"] == 3
    assert trees.differences(expected, tree) == []


def test_several_images_of_one_archive(
    podman: peers.Podman, store: ImageStore, tmp_path: Path
) -> None:
    names = [AWKWARD, f"{AWKWARD}-base"]
    podman("save", "--multi-image-archive", "--output", f"{tmp_path}/all.tar", *names)
    images = load(store, tmp_path / "all.tar")
    assert sorted(tag for image in images for tag in image.repo_tags) == names
    assert store.get(names[0]).diff_ids[0] == store.get(names[1]).diff_ids[0]


@pytest.fixture
def ours(podman: peers.Podman, store: ImageStore, tmp_path: Path) -> Path:
    """The awkward image as this store saves it, with a layer that was written here."""
    load(store, podman_save("oci-archive")(podman, tmp_path))
    return save(store, tmp_path / "ours.tar", AWKWARD)


def test_podman_has_what_we_save(ours: Path, expected: Tree) -> None:
    with peers.podman() as other:
        other("load", "--input", str(ours))
        container = other.buildah("from", AWKWARD)
        tree = below(trees.describe(other.buildah("mount", container)))
    assert trees.differences(expected, tree) == []


def test_docker_has_what_we_save_and_we_what_docker_saves(
    ours: Path, expected: Tree, tmp_path: Path
) -> None:
    with peers.dockerd() as docker:
        assert AWKWARD in docker("load", "--input", str(ours))
        docker("create", "--name", "awkward", AWKWARD)
        layers = json.loads(docker("inspect", "awkward"))[0]["GraphDriver"]["Data"]["LowerDir"]
        # The topmost is Docker's own, with mount points.
        tree = below(trees.describe_stack([Path(layer) for layer in layers.split(":")[1:]]))
        docker("save", "--output", f"{tmp_path}/theirs.tar", AWKWARD)
    assert trees.differences(expected, tree) == []
    again = ImageStore(tmp_path / "again")
    [image] = load(again, tmp_path / "theirs.tar")
    assert trees.differences(expected, tree_of(again, image)) == []


def test_skopeo_and_umoci_have_what_we_save(ours: Path, expected: Tree, tmp_path: Path) -> None:
    peers.need("skopeo")
    peers.need("umoci")
    layout = f"{tmp_path}/layout:1"
    peers.call("skopeo", "copy", "--quiet", f"docker-archive:{ours}", f"oci:{layout}")
    peers.call("umoci", "unpack", "--image", layout, tmp_path / "bundle")
    tree = below(trees.describe(tmp_path / "bundle/rootfs"))
    assert trees.differences(expected, tree) == []


def test_a_layer_written_here_has_everything(podman: peers.Podman, tmp_path: Path) -> None:
    """From a tree to a layer, and through an image to podman and back to a tree."""
    from cellcrate_runtime.images.documents import ImageConfig, RootFS
    from cellcrate_runtime.images.layer_archive import write_layer
    from cellcrate_runtime.images.references import parse

    upper = tmp_path / "upper"
    upper.mkdir()
    upper.chmod(0o755)
    fill(upper)
    wanted = below(trees.describe(upper))
    output = io.BytesIO()
    write_layer(upper, output)
    store = ImageStore(tmp_path / "images")
    with store.adding():
        layer = store.add_layer(io.BytesIO(output.getvalue()))
        config = ImageConfig(
            architecture="amd64", os="linux", rootfs=RootFS(diff_ids=[layer.diff_id])
        )
        image = store.add_image(config, [layer.descriptor], parse("localhost/written:1"))
    podman("load", "--input", str(save(store, tmp_path / "ours.tar", "localhost/written:1")))
    container = podman.buildah("from", "localhost/written:1")
    theirs = below(trees.describe(podman.buildah("mount", container)))
    podman.buildah("rm", container)
    podman("rmi", "localhost/written:1")
    assert trees.differences(wanted, theirs) == []
    assert trees.differences(wanted, tree_of(store, image)) == []


def test_the_description_sees_every_difference(tmp_path: Path) -> None:
    """The comparison itself can fail."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fill(tmp_path / name)
    one, two = tmp_path / "one", tmp_path / "two"
    assert trees.differences(below(trees.describe(one)), below(trees.describe(two))) == []
    os.utime(two / "pipe", ns=(0, 1))
    os.setxattr(two / "kept/attributes", "user.text", b"other")
    (two / "removed").write_text("REMOVED")
    (two / "opaque/linked").unlink()
    shutil.copy2(two / "kept/attributes", two / "opaque/linked")
    found = trees.differences(trees.describe(one), trees.describe(two))
    said = "\n".join(found)
    assert "'pipe': mtime_ns" in said
    assert "'kept/attributes': xattrs" in said
    assert "'removed': sha256" in said
    assert "'opaque/linked': names" in said


def test_tar_reads_what_we_save(ours: Path) -> None:
    with tarfile.open(ours) as tar:
        assert "index.json" in tar.getnames()
    done = subprocess.run(["tar", "-tf", ours], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
