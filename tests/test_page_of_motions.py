"""The page of motions in headless Chromium: played, stepped, turned and compared, with nothing said on the console and nothing fetched."""

import json
import re

import numpy as np
import pytest
from moving import a_motion

from nerm.errors import InputError
from nerm.motion import Motion, Skeleton, resample
from nerm.motion.packed import unpack
from nerm.page import ASSETS
from nerm.render import render

WEBGL = True
SIZES = {"phone": (390, 844), "desktop": (1000, 640)}
PICTURE = "canvas => canvas.toDataURL()"
COUNT = """() => {
    const scene = document.getElementById("scene"), flat = document.createElement("canvas");
    const c = flat.getContext("2d", { willReadFrequently: true });
    [flat.width, flat.height] = [scene.width, scene.height];
    c.drawImage(scene, 0, 0);
    const ratio = scene.width / scene.clientWidth, box = scene.getBoundingClientRect();
    return [...document.querySelectorAll(".pane")].map(pane => {
        const at = pane.getBoundingClientRect(), counted = [0, 0];
        const corner = [at.left - box.left, at.top - box.top, at.width, at.height].map(x => x * ratio);
        const { data } = c.getImageData(...corner);
        for (let k = 0; k < data.length; k += 4) {
            counted[0] += data[k + 2] - data[k] > 60;
            counted[1] += data[k] - data[k + 2] > 60;
        }
        return counted;
    });
}"""
SENTENCE = "a person walks & <turns>"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    fine = a_motion(120.0, 1.0, 0)
    path = tmp_path_factory.mktemp("page") / "walk.html"
    render([resample(fine, 20), resample(fine, 60), fine, fine], path, [SENTENCE, "60", "120", "again"], ["nerm, seed 0"] * 4)
    return path


def data(path) -> list[dict]:
    return json.loads(re.search(r"^const motions = (.*);$", path.read_text(), re.M)[1])


# ---- the file ----


def test_the_page_is_small_and_asks_for_nothing(written):
    page = written.read_text()
    assert len(page.encode()) < 700_000
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=", page) and "@import" not in page and "$" + "{title}" not in page
    assert "<turns>" not in page and "a person walks &amp; &lt;turns>" in page
    assert "MIT License" in page and "three.js authors" in page


def test_the_page_holds_every_motion_at_its_own_rate_in_millimetres(written):
    shown = data(written)
    assert [motion["fps"] for motion in shown] == [20, 60, 120, 120] and [motion["frames"] for motion in shown] == [21, 61, 121, 121]
    fine = a_motion(120.0, 1.0, 0).joints
    back = unpack(shown[2]["packed"], 22, shown[2]["unit"])
    np.testing.assert_allclose(back, fine - fine[0, 0] * (1, 0, 1), atol=0.00051)


def test_a_motion_that_goes_far_has_larger_units(tmp_path):
    far = a_motion(30.0, 1.0, 0)
    joints = far.joints + np.linspace(0, 100.0, len(far))[:, None, None] * np.array([0, 0, 1.0])
    render([Motion(joints, 30.0)], tmp_path / "a.html")
    (shown,) = data(tmp_path / "a.html")
    np.testing.assert_allclose(unpack(shown["packed"], 22, shown["unit"]), joints - joints[0, 0] * (1, 0, 1), atol=0.003)


def test_a_skeleton_without_legs_and_head_has_a_page_too(tmp_path):
    two = Skeleton("two", ("base", "tip"), (-1, 0), np.array([[0, 0, 0], [0, 0.5, 0]]))
    render([Motion(np.repeat(two.offsets[None], 5, axis=0), 10.0, two)], tmp_path / "a.html")
    (shown,) = data(tmp_path / "a.html")
    assert shown["toes"] == [] and shown["stands"] == [] and shown["head"][0] == -1


def test_five_motions_are_refused(tmp_path):
    with pytest.raises(InputError, match="5 motions on one page; it shows at most 4"):
        render([a_motion(20.0, 0.5, 0)] * 5, tmp_path / "a.html")


def test_the_viewer_uses_of_three_js_what_is_bundled():
    bundled = set(re.findall(r"\b[A-Z]\w+", (ASSETS / "three.entry.js").read_text().split("export")[1]))
    assert set(re.findall(r"THREE\.(\w+)", (ASSETS / "viewer.js").read_text())) == bundled


# ---- in a browser ----


@pytest.fixture(params=SIZES)
def page(request, visiting, written):
    with visiting(written.as_uri(), SIZES[request.param], "body[data-ready]") as page:
        yield page


def frames(page) -> list[str]:
    return page.locator(".frame").all_inner_texts()


def test_the_page_draws_plays_steps_turns_and_compares(page):
    scene = page.locator("#scene")
    assert page.locator("h2").all_inner_texts() == [SENTENCE, "60", "120", "again"] and "nerm, seed 0" in page.inner_text("#panes")
    page.select_option("#speed", "0.1")  # a busy machine draws a picture in seconds, in which the page would pass its end
    page.click("#play")
    page.wait_for_function("document.getElementById('clock').textContent > '0.05'", timeout=120_000)
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Play"

    counts = page.evaluate(COUNT)
    assert len(counts) == 4 and min(min(pair) for pair in counts) > 150, "blue and orange limbs in every pane"

    page.evaluate("go(0.5)")
    assert frames(page) == ["20 fps, frame 10 of 20", "60 fps, frame 30 of 60", *["120 fps, frame 60 of 120"] * 2]
    page.click("#on")
    assert page.inner_text("#clock") == "0.508 s" and frames(page)[:3] == [
        "20 fps, frame 10 of 20",
        "60 fps, frame 30 of 60",
        "120 fps, frame 61 of 120",
    ]
    page.click("#back")
    at_half = scene.evaluate(PICTURE)
    page.keyboard.press("Home")
    assert page.inner_text("#clock") == "0.000 s" and scene.evaluate(PICTURE) != at_half
    page.locator("#time").fill("0.5")
    assert scene.evaluate(PICTURE) == at_half  # the same moment is the same picture

    page.check("#ghosts")
    assert scene.evaluate(PICTURE) != at_half
    page.uncheck("#ghosts")
    page.click("#near")
    assert scene.evaluate(PICTURE) != at_half
    box = scene.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 210)
    page.mouse.up()
    page.click("#reset")
    assert scene.evaluate(PICTURE) == at_half
    page.keyboard.press("]")
    assert page.input_value("#speed") == "0.25"
