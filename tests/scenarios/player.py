"""What the sentences about people's acts mean, whatever they are played through."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from tests.scenarios.theme_text import ThemeText


@dataclass(kw_only=True)
class Player(ABC):
    """Each `do_` method plays the sentence of that meaning."""

    text: ThemeText = field(init=False)

    @abstractmethod
    def new_text(self, author: str) -> ThemeText: ...

    @abstractmethod
    def save(self, who: str, text: ThemeText, *, code: bool) -> None: ...

    @abstractmethod
    def answer(self, who: str, decision: str, offer: str, reason: str, *, to_level: str = "") -> None:
        """Answer one's question in its gate."""

    @abstractmethod
    def act(self, who: str, name: str, reason: str, **more: Any) -> None:
        """Do what needs no question of one's own."""

    # -- drafting and editing

    def do_draft(self, who: str) -> None:
        self._save(who, self.new_text(who))

    def do_save_again(self, who: str) -> None:
        self._save(who, self.text, code=False)

    def do_edit_theme(self, who: str, field: str, value: str) -> None:
        self._save(who, self.text.with_field(field, value))

    def do_edit_without_code(self, who: str, field: str, value: str) -> None:
        self._save(who, self.text.with_field(field, value), code=False)

    def do_edit_offer(self, who: str, offer: str, field: str, value: str) -> None:
        self._save(who, self.text.with_offer_field(offer, field, value))

    def do_drop_offer(self, who: str, offer: str) -> None:
        self._save(who, self.text.without_offer(offer))

    def do_add_coupon(self, who: str, offer: str) -> None:
        self._save(who, self.text.with_coupon(offer))

    def _save(self, who: str, text: ThemeText, *, code: bool = True) -> None:
        self.save(who, text, code=code)
        self.text = text  # what was refused is not what the next edit begins with

    # -- answers

    def do_approve(self, who: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, "approve", offer, reason)

    def do_reject(self, who: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, "reject", offer, reason)

    def do_return_to_drafter(self, who: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, "return to drafter", offer, reason)

    def do_return_to_previous(self, who: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, "return to previous level", offer, reason)

    def do_return_to_level(self, who: str, level: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, "return to chosen level", offer, reason, to_level=level)

    def do_advise(self, who: str, what: str, offer: str = "", reason: str = "") -> None:
        self.answer(who, what, offer, reason)

    # -- reversal and hands

    def do_withdraw(self, who: str, reason: str = "") -> None:
        self.act(who, "withdraw", reason)

    def do_recall(self, who: str, reason: str = "") -> None:
        self.act(who, "recall", reason)

    def do_pause(self, who: str, reason: str = "") -> None:
        self.act(who, "pause", reason)

    def do_take_down(self, who: str, claimed: str, reason: str = "") -> None:
        self.act(who, "takedown", reason, claimed={"honouring": "honour", "voiding": "void"}[claimed])

    def do_take_back(self, who: str, offer: str = "", reason: str = "") -> None:
        self.act(who, "take back", reason, offer=offer)

    def do_delegate(self, who: str, person: str, offer: str = "", reason: str = "") -> None:
        self.act(who, "delegate", reason, offer=offer, person=person)

    def do_transfer(self, who: str, person: str, offer: str = "", reason: str = "") -> None:
        self.act(who, "transfer", reason, offer=offer, person=person)

    def do_add_signer(self, who: str, person: str, where: str, offer: str = "", reason: str = "") -> None:
        self.act(who, f"add signer {where}", reason, offer=offer, person=person)

    def do_remove_signer(self, who: str, person: str, offer: str = "", reason: str = "") -> None:
        self.act(who, "remove signer", reason, offer=offer, person=person)

    def do_override(self, who: str, what: str, offer: str = "", reason: str = "") -> None:
        self.act(who, f"override: {what}", reason, offer=offer)
