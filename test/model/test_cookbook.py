"""The recipes: what is marked is run, on small rendered images, and gives what is shown."""

from __future__ import annotations

from pathlib import Path
import re
import shutil
import sys

import cv2
import pytest

pytest.importorskip('av')
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'scripts'))

import cookbook
from mafs_model.runtime import factory

RECIPES = cookbook.recipes(cookbook.BOOK.read_text('utf-8'))
RUN = [recipe for recipe in RECIPES if recipe.blocks]


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    cookbook.make_data(folder, 160, 128, 3)
    return folder


@pytest.mark.parametrize('recipe', RUN, ids=lambda recipe: recipe.title)
def test_recipe_does_what_it_says(recipe, data, tmp_path, monkeypatch):
    # Networks are tried elsewhere; without one the same commands take a tenth of the time.
    monkeypatch.setattr(factory, 'DEFAULT_WEIGHTS', tmp_path / 'none.safetensors')
    threads = cv2.getNumThreads()
    folder = tmp_path / 'kitchen'
    shutil.copytree(data, folder)
    before = {path for path in folder.rglob('*') if path.is_file()}
    try:
        with cookbook.in_folder(folder):
            cookbook.run(recipe)
            if recipe.picture:
                picture = cookbook.read_picture(Path(recipe.picture))
    finally:
        cv2.setNumThreads(threads)
    if recipe.picture:
        assert folder / recipe.picture not in before
        assert min(picture.shape[:2]) >= 100
        of_network_alone = 'colors' in recipe.picture or recipe.picture == 'sure.png'
        assert picture.std() > 5 or of_network_alone, 'it shows something'


def test_twenty_recipes_have_pictures():
    text = cookbook.BOOK.read_text('utf-8')
    shown = set(re.findall(r'^!\[[^\]]+\]\((images/cookbook/\w+\.jpg)\)$', text, re.MULTILINE))
    pictured = {str(r.image.relative_to(cookbook.BOOK.parent)) for r in RUN if r.picture}
    assert shown == pictured
    assert len(shown) >= 20
    assert {p.name for p in cookbook.PICTURES.iterdir()} == {Path(name).name for name in shown}
    assert len({recipe.title for recipe in RECIPES}) == len(RECIPES)


@pytest.mark.parametrize(
    ('block', 'message'),
    [
        ('bash\nmafs fuse nothing --out x', 'ended with 2'),
        ('bash\nrm -r x', 'only mafs is run'),
        ('python\nraise RuntimeError("burnt")', 'burnt'),
    ],
)
def test_recipe_that_fails_is_noticed(block, message, tmp_path):
    (recipe,) = cookbook.recipes(f'# Book\n\n## Stew\n\n<!-- run -->\n```{block}\n```\n')
    with cookbook.in_folder(tmp_path), pytest.raises(RuntimeError, match=message):
        cookbook.run(recipe)


def test_only_what_is_marked_is_run():
    text = '## A\n\n```bash\nmafs info\n```\n\n<!-- run x.png -->\n```python\npass\n```\n'
    (recipe,) = cookbook.recipes(text)
    assert recipe.blocks == [('python', 'pass\n')]
    assert recipe.picture == 'x.png'
