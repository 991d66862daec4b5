"""The words of the approver's brief, in the languages that a person can choose."""

from approval.quorum import Quorum, QuorumKind
from approval.states import DecisionKind, ObjectKind

LOCALES = ("en", "zh")

_WORDS: dict[str, tuple[str, str]] = {
    "asked_again": ("Asked again", "再次询问"),
    "question": ("Do you approve {object}, {name}?", "{name}，您是否同意{object}？"),
    "theme": ("theme", "主题"),
    "coupon": ("coupon", "券"),
    "activity": ("activity", "活动"),
    "of_theme": ("of theme {theme}", "所属主题：{theme}"),
    "revision": ("Revision", "版本"),
    "hash": ("Hash", "哈希"),
    "round": ("Round", "轮次"),
    "level": ("Level", "级"),
    "level_of": ("{number} of {count}, {name}", "第 {number} 级，共 {count} 级：{name}"),
    "quorum": ("Who must agree", "通过条件"),
    "due": ("Due", "截止"),
    "window": ("Window", "活动时间"),
    "budget": ("Budget", "预算"),
    "worst_case_cost": ("Worst-case cost", "最大成本"),
    "audience": ("Audience", "人群"),
    "people": ("{count} people", "{count} 人"),
    "channels": ("Deliveries", "投递"),
    "offers": ("Offers", "优惠"),
    "offer": ("Offer", "优惠"),
    "kind": ("Kind", "类型"),
    "terms": ("Terms", "规则"),
    "limit": ("Limit", "数量"),
    "exclusions": ("Exclusions", "互斥"),
    "not_together": ("{first} and {second} never together", "{first} 与 {second} 不可同享"),
    "changes": ("Changed since your last look", "自您上次查看后的变化"),
    "field": ("Field", "字段"),
    "before": ("Before", "之前"),
    "after": ("After", "之后"),
    "earlier": ("Earlier decisions", "此前的决定"),
    "earlier_line": (
        "{name} · round {round} · {level} · {decision} · {at}",
        "{name} · 第 {round} 轮 · {level} · {decision} · {at}",
    ),
    "preview": ("Preview", "预览"),
    "none": ("none", "无"),
    "any": ("one of {count} decides", "{count} 人中任一人决定"),
    "all": ("all {count}", "全部 {count} 人"),
    "count": ("{needed} of {count}", "{count} 人中的 {needed} 人"),
    "veto": ("; a rejection by {names} ends it", "；{names} 可一票否决"),
    "approve": ("approved", "同意"),
    "return to drafter": ("returned", "退回"),
    "reject": ("rejected", "拒绝"),
}


def word(key: str, locale: str, **values: object) -> str:
    """A phrase in the person's language; English where the language is not one of ours."""
    english, chinese = _WORDS[key]
    return (chinese if locale == "zh" else english).format(**values)


def object_word(kind: ObjectKind, locale: str) -> str:
    return word(kind.value, locale)


def decision_word(kind: DecisionKind, locale: str) -> str:
    return word(kind.value, locale)


def quorum_words(quorum: Quorum, asked: int, locale: str, veto: tuple[str, ...] = ()) -> str:
    """`2 of 3`, `all 3`, `one of 3 decides`; and who may veto."""
    key = QuorumKind.COUNT.value if quorum.kind is QuorumKind.RATIO else quorum.kind.value
    words = word(key, locale, needed=quorum.needed(asked), count=asked)
    return words + (word("veto", locale, names=", ".join(veto)) if veto else "")
