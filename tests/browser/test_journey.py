"""From a file of one's own to a model in use, through the pages alone, with everything real."""

import re

from playwright.sync_api import Browser, Page, expect

from services.standalone import Standalone

CSV = "name,place\n" + "".join(f"{'ab'[n % 2] * (n % 5 + 2)},{'xy'[n % 2]}\n" for n in range(80))
TRAINED_MS = 60_000
GRU_ARRAYS = ["r", "z", "n", "h"]
COLOURS = """(canvas) => {
    const { width, height } = canvas;
    const bytes = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return new Set(new Uint32Array(bytes.buffer)).size;
}"""


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def submit(page: Page, cell: str) -> None:
    """Ask for a small job on the dataset that the form has, and come to its page."""
    page.locator("html[data-preview=drawn]").wait_for()
    page.get_by_label("Name", exact=True).first.fill(f"people-{cell}")
    page.get_by_label("Hidden units").fill("8")
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_role("radio", name=cell, exact=True).check()
    press(page, "Submit 1 job")
    page.locator("#job").wait_for()


def test_a_person_goes_from_a_csv_to_a_model_in_use_by_the_pages_alone(
    browser: Browser, stack: Standalone
) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{stack.api_url}/datasets")
    file = {"name": "people.csv", "mimeType": "text/csv", "buffer": CSV.encode()}
    page.get_by_label("File", exact=True).set_input_files(file)
    expect(page.get_by_label("Target column")).to_have_value("place")
    press(page, "Upload")
    page.get_by_role("link", name="New job with it").click()
    submit(page, "gru")
    pill = page.locator("h1 + .pill")
    expect(pill).to_contain_text("succeeded", timeout=TRAINED_MS)
    expect(page.get_by_role("img", name=re.compile("Line chart of loss"))).to_be_visible()

    page.get_by_role("link", name="Clone").click()
    submit(page, "elman")
    expect(pill).to_contain_text("succeeded", timeout=TRAINED_MS)
    page.get_by_role("link", name="Jobs", exact=True).click()
    for cell in ("gru", "elman"):
        page.get_by_label(f"Select people-{cell}").check()
    page.get_by_role("link", name="Compare").click()
    differ = page.get_by_role("region", name=re.compile("What differs"))
    expect(differ.first).to_contain_text("network.cell.type")
    expect(page.locator("#overlay canvas")).to_be_visible()

    page.get_by_role("link", name="people-gru").first.click()
    page.get_by_role("link", name="people-gru, version 1").click()
    expect(page.get_by_text("name → place")).to_be_visible()
    page.get_by_label("Input", exact=True).fill("ababa")
    press(page, "Run")
    answer = page.locator("#answer")
    expect(answer.get_by_role("region", name="Classes")).to_contain_text("%", timeout=20_000)
    expect(answer.locator(".large")).to_have_text(re.compile("^[xy]$"))

    page.get_by_role("link", name="Inspect gates").click()
    look_at_gates(page, "ababa")
    page.get_by_role("link", name="Workers").click()
    workers = page.get_by_role("region", name="Workers by name")
    expect(workers).to_contain_text(re.compile(r"\d [MG]iB of [\d.]+ [MG]iB"))
    page.close()


def look_at_gates(page: Page, text: str) -> None:
    """Trace this text, pick a unit in a heat map, and find its values step by step."""
    page.get_by_label("Input", exact=True).fill(text)
    press(page, "Run")
    expect(page.locator("figcaption strong")).to_have_text(GRU_ARRAYS, timeout=20_000)
    page.locator("html[data-traced]").wait_for()
    for canvas in page.locator(".maps canvas").all():
        assert canvas.evaluate(COLOURS) > len(text), "a heat map is drawn in few colours"

    canvas = page.locator(".maps canvas").first
    canvas.click(position={"x": 20, "y": 170})

    expect(page.get_by_role("heading", name="h of unit 7, step by step")).to_be_visible()
    strip = page.locator(".strip span")
    expect(strip).to_have_text(list(text))
    values = [float(each.get_attribute("title").partition(": ")[2]) for each in strip.all()]
    assert len(set(values)) == len(text), "a state that has read more is another one"
    assert all(-1 < value < 1 for value in values)
    of_unit = page.get_by_role("group", name=re.compile("^Unit 7"))
    of_h = of_unit.get_by_role("row", name=re.compile("^h ")).locator("td.n")
    ends = [min(values), max(values)]
    assert [float(text) for text in of_h.all_inner_texts()] == [values[-1], *ends]
    strip.nth(1).click()
    expect(of_unit.get_by_role("columnheader", name="At step 2")).to_be_visible()
    assert float(of_h.first.inner_text()) == values[1]
