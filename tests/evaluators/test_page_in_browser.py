"""The page in headless Chromium, on a phone and on a desktop: opened, clicked through, and silent on the console."""

import pytest
from pages import MEANS, small_store

from evaluators.report.page import write_page

SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
FRAMERATES, TEXT = "#multirate-framerates-full", "#multirate-text-full"


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    return write_page(small_store(tmp_path_factory.mktemp("page") / "results"), "full").as_uri()


@pytest.fixture(params=SIZES)
def page(request, visiting, address):
    with visiting(address, SIZES[request.param], f"{FRAMERATES} tbody") as page:
        yield page


def column(page, table: str, role: str, place: int) -> list[str]:
    return page.locator(f'{table} tbody[data-role="{role}"] tr[data-id] td:nth-of-type({place})').all_inner_texts()


def ids(page, table: str, role: str) -> list[str]:
    return page.locator(f'{table} tbody[data-role="{role}"] tr[data-id]').evaluate_all("rows => rows.map(row => row.dataset.id)")


def choose(page, table: str, what: str, text: str) -> None:
    page.locator(f'{table} select[data-choice="{what}"]').select_option(label=text)


def press(page, table: str, text: str) -> None:
    page.locator(table).get_by_role("button", name=text, exact=True).click()


def test_a_click_on_a_heading_sorts_within_each_role_and_the_third_restores_the_order_of_the_report(page):
    in_order = ids(page, FRAMERATES, "generator")
    heading = page.locator(f'{FRAMERATES} [data-sort="rate 120"]')
    heading.click()
    assert ids(page, FRAMERATES, "generator") == ["nerm", "nerm-fixed", "t2m"]  # lower is better: the best on top
    heading.press("Enter")  # it keeps the focus, so the keyboard goes on
    assert ids(page, FRAMERATES, "generator") == ["t2m", "nerm-fixed", "nerm"]
    heading.click()
    assert ids(page, FRAMERATES, "generator") == in_order
    assert ids(page, FRAMERATES, "oracle") == ["oracle-slerp"] and ids(page, FRAMERATES, "real") == ["real"]


def test_values_stand_with_their_intervals_and_only_the_best_generator_is_bold(page):
    printed = column(page, FRAMERATES, "generator", 3)
    assert [float(text.split(" ± ")[0]) for text in printed] == pytest.approx(
        [6 * MEANS[name] for name in ids(page, FRAMERATES, "generator")], abs=0.01
    )
    assert page.locator(f"{FRAMERATES} .best").all_inner_texts() == column(page, FRAMERATES, "generator", 1)[:1] + [
        column(page, FRAMERATES, "generator", place)[0] for place in (2, 3)
    ]


def test_metric_extractor_set_and_rate_are_chosen(page):
    choose(page, FRAMERATES, "metric", "clip-FID")
    assert column(page, FRAMERATES, "real", 1)[0].startswith("0.5")
    assert page.locator(f'{FRAMERATES} tbody[data-role="published"]').inner_text().split("\n")[0] == (
        "Published, not comparable: other corpus (humanml3d), other extractor"
    )
    choose(page, FRAMERATES, "metric", "trial distance")
    choose(page, FRAMERATES, "extractor", "guo")
    choose(page, FRAMERATES, "set", "matched")
    assert "extractor guo, set matched" in page.locator(f"{FRAMERATES} figcaption").inner_text()
    press(page, FRAMERATES, "One rate, every metric")
    choose(page, FRAMERATES, "rate", "60 fps")
    assert column(page, FRAMERATES, "real", 1)[0].startswith("0.3")


def test_differences_take_the_place_of_values(page):
    press(page, FRAMERATES, "Difference from NeRM")
    t2m = ids(page, FRAMERATES, "generator").index("t2m")
    assert column(page, FRAMERATES, "generator", 3)[t2m].startswith("▲ +3.000")


def test_the_figure_draws_intervals_oracle_and_floor_and_rows_are_taken_out_of_it(page):
    drawn = page.locator(f"{FRAMERATES} .chart .line")
    assert drawn.count() == 5 and page.locator(f"{FRAMERATES} .chart .band").count() == 5
    assert page.locator(f"{FRAMERATES} .chart .floor").count() == 1
    assert page.locator(f"{FRAMERATES} .chart polyline[stroke-dasharray]").count() == 1
    page.locator(f"{FRAMERATES} .legend button").first.click()
    assert drawn.count() == 4
    assert page.locator(f"{TEXT} .chart circle").count() == 4  # one rate: a dot for every row


def test_provenance_is_one_click_away_and_escape_closes_it(page):
    page.locator(f'{FRAMERATES} tr[data-id="nerm"] th button').click()
    dialog = page.locator("#provenance")
    assert dialog.is_visible() and "c" * 40 in dialog.inner_text() and "raw/multirate/framerates/full/nerm.json" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


PICTURE = "canvas => canvas.toDataURL()"


def test_the_viewer_plays_scrubs_and_changes_rate_sentence_and_view(page):
    viewer = page.locator(".viewer")
    canvas, clock, scrubber = viewer.locator("canvas").first, viewer.locator(".clock"), viewer.locator(".scrubber")
    page.wait_for_function("document.querySelector('.viewer .scrubber').max === '240'")  # 2 s at 120 fps
    assert viewer.locator("canvas").count() == 2

    before = clock.inner_text()
    press(page, ".viewer", "Play")
    page.wait_for_function("text => document.querySelector('.viewer .clock').textContent !== text", arg=before)
    press(page, ".viewer", "Pause")

    scrubber.fill("120")
    assert clock.inner_text() == "1.00 s, frame 120"
    at_one_second = canvas.evaluate(PICTURE)
    press(page, ".viewer", "20 fps")
    assert clock.inner_text() == "1.00 s, frame 20" and scrubber.get_attribute("max") == "40"
    assert "made at 20 fps" in viewer.locator('[data-system="t2m"]').inner_text()
    press(page, ".viewer", "60 fps")
    assert "brought to 60 by slerp" in viewer.locator('[data-system="t2m"]').inner_text()
    viewer.get_by_role("button", name="One frame on").click()
    assert clock.inner_text() == "1.02 s, frame 61"

    press(page, ".viewer", "120 fps")
    scrubber.fill("120")
    assert canvas.evaluate(PICTURE) == at_one_second  # the same moment at the same rate is the same picture
    choose(page, ".viewer", "sentence", "a person runs")
    page.wait_for_timeout(200)
    another = canvas.evaluate(PICTURE)
    assert another != at_one_second
    canvas.evaluate("canvas => canvas.scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 130, box["y"] + 60)
    page.mouse.up()
    assert canvas.evaluate(PICTURE) != another and viewer.locator("#turn").input_value() != "0"


def test_dark_is_dark(browser, address):
    backgrounds = {}
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(address)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        backgrounds[scheme] = [int(x) for x in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        context.close()
    assert min(backgrounds["light"]) > 200 and max(backgrounds["dark"]) < 60
