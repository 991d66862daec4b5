"""Prefect's own UI in a real browser, as approvers and ops use it."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from approval.keys import inbox_path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "tests" / "out"
PICTURES = ROOT / "docs" / "pictures"
#: Set to have the pictures of the documentation written anew.
WRITE_PICTURES = "THEMELINE_WRITE_PICTURES"
PATIENCE_MS = 30_000
INBOX_LOOKS, INBOX_MILLISECONDS = 6, 8_000
_SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(slots=True, kw_only=True)
class PrefectUi:
    page: Page
    origin: str
    auth: str = field(repr=False)
    _taken: int = 0

    def log_in(self) -> None:
        """With the password of the server: Prefect's UI knows no persons."""
        self.open("/login")
        self.page.locator("input[type=password]").fill(self.auth)
        self.page.get_by_role("button", name="Login").click()
        self.page.wait_for_url(lambda url: "/login" not in url)

    def open(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")

    def open_inbox(self, login: str) -> Locator:
        """A person's inbox by its link. Returns the questions in it."""
        questions = self.page.get_by_role("link", name=re.compile(r"^Approve · "))
        for _ in range(INBOX_LOOKS):
            # The page asks for runs up to the moment it was opened: a question of that second shows at the next look.
            self.open(inbox_path(login))
            with suppress(PlaywrightTimeout):
                questions.first.wait_for(timeout=INBOX_MILLISECONDS)
                return questions
        raise AssertionError(f"no question in the inbox of {login}")

    def open_form(self) -> "AnswerForm":
        """The form of the question whose run is shown."""
        self.page.get_by_role("button", name="Resume").click()
        card = self.page.locator(".p-modal__card")
        card.locator(".schema-form-property").first.wait_for()
        return AnswerForm(page=self.page, card=card)

    def open_custom_run(self, deployment: str, *, name: str) -> "Form":
        """The form from which a deployment is started with parameters of one's own; the run gets a name."""
        self.open("/deployments")
        self.page.get_by_role("link", name=deployment, exact=True).click()
        self.page.get_by_role("button", name="Run", exact=True).click()
        self.page.get_by_text("Custom run").click()
        form = Form(page=self.page, card=self.page.locator("form"))
        form.card.locator(".schema-form-property").first.wait_for()
        self.page.locator(".p-label", has_text="Run Name").locator("input").fill(name)
        return form

    def picture(self, name: str) -> None:
        self._taken += 1
        OUT.mkdir(exist_ok=True)
        self.page.screenshot(path=OUT / f"browser-{self._taken:02}-{name}.png", animations="disabled")

    def documentation_picture(self, name: str, part: Locator) -> None:
        """A part of the page for the documentation, where it is asked for; otherwise just to look at."""
        folder = PICTURES if os.environ.get(WRITE_PICTURES) else OUT
        folder.mkdir(parents=True, exist_ok=True)
        part.screenshot(path=folder / f"{name}.png", animations="disabled")


@dataclass(slots=True, kw_only=True)
class Form:
    """A form that Prefect's UI made from a schema."""

    page: Page
    card: Locator

    def field(self, label: str) -> Locator:
        named = self.page.locator(".schema-form-property__label", has_text=re.compile(rf"^{re.escape(label)}\b"))
        return self.card.locator(".schema-form-property").filter(has=named)

    def write(self, label: str, text: str) -> None:
        self.field(label).locator("textarea").fill(text)

    def choose(self, label: str, option: str) -> None:
        button = self.field(label).locator(".p-select-button__control")
        button.focus()
        button.press("ArrowDown")  # a click opens and closes it again
        self.page.get_by_role("option", name=option, exact=True).click()

    def switch_on(self, label: str) -> None:
        switch = self.field(label).get_by_role("switch")
        switch.click()
        expect(switch).to_have_attribute("aria-checked", "true")

    def submit(self) -> None:
        self.card.get_by_role("button", name="Submit").click()


@dataclass(slots=True, kw_only=True)
class AnswerForm(Form):
    """The form of a question, with its brief above."""

    @property
    def brief(self) -> Locator:
        return self.card.locator("article.markdown-renderer").first

    def answer(self, decision: str, *, login: str, code: str, comment: str = "") -> None:
        self.choose("Decision", decision)
        self.write("Your login", login)
        self.write("One-time code", code)
        if comment:
            self.write("Comment", comment)

    def submit_and_close(self) -> None:
        self.submit()
        self.card.wait_for(state="hidden")


@contextmanager
def browser_at(origin: str, auth: str, *, executable: str) -> Iterator[PrefectUi]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_SWITCHES))
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, locale="en-GB", timezone_id="UTC")
        context.set_default_timeout(PATIENCE_MS)
        try:
            expect.set_options(timeout=PATIENCE_MS)
            ui = PrefectUi(page=context.new_page(), origin=origin, auth=auth)
            ui.log_in()
            yield ui
        finally:
            browser.close()
