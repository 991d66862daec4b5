"""The words of the approver's brief, in the languages that a person can choose."""

from collections.abc import Mapping

from approval.quorum import Quorum, QuorumKind
from approval.states import DecisionKind, ObjectKind, TaskKind

LOCALES = ("en", "zh")

WORDS: Mapping[str, tuple[str, str]] = {
    "asked_again": ("Asked again", "再次询问"),
    "question": ("Do you approve {object}, {name}?", "{name}，您是否同意{object}？"),
    "advice_question": (
        "{name}, {asker} asks for your advice on {object}. It is no vote: {asker} decides.",
        "{name}，{asker} 就{object}征求您的意见。您的意见不计票，由 {asker} 决定。",
    ),
    "theme": ("theme", "主题"),
    "coupon": ("coupon", "券"),
    "activity": ("activity", "活动"),
    "of_theme": ("of theme {theme}", "所属主题：{theme}"),
    "on_behalf_of": ("You are asked on behalf of {name}.", "您代表 {name} 答复。"),
    "escalated": (
        "{name} has not answered yet, so you are asked as well; whoever answers first counts.",
        "{name} 尚未答复，现已升级给您；以先答复者为准。",
    ),
    "added_by": (
        "{name} added you as a signer: without your yes it does not pass.",
        "{name} 将您加签：须经您同意方可通过。",
    ),
    "fallback": (
        "Nobody of this level may decide: you stand in, and decide alone.",
        "本级无人可作决定：由您作为备用审批人单独决定。",
    ),
    "revision": ("Revision", "版本"),
    "hash": ("Hash", "哈希"),
    "round": ("Round", "轮次"),
    "level": ("Level", "审批级"),
    "level_of": ("{number} of {count}, {name}", "第 {number} 级，共 {count} 级：{name}"),
    "quorum": ("Who must agree", "通过条件"),
    "return_to": ("May go back to", "可退回至"),
    "drafter": ("the drafter", "起草人"),
    "due": ("Due", "截止"),
    "window": ("Window", "活动时间"),
    "budget": ("Budget", "预算"),
    "theme_budget": ("Budget of the theme", "主题预算"),
    "worst_case_cost": ("Worst-case cost", "最大成本"),
    "deepest_discount": ("Deepest discount", "最大折扣"),
    "lowest_price": ("Lowest price", "最低售价"),
    "lowest_of": (
        "{price} instead of {listed}: {product}, with {offers}",
        "{price}（原价 {listed}）：{product}，优惠 {offers}",
    ),
    "worst_margin": ("Worst margin", "最低毛利率"),
    "up_to": ("up to {share}", "至多 {share}"),
    "not_known": ("not known", "未知"),
    "audience": ("Audience", "人群"),
    "people": ("{count} people", "{count} 人"),
    "channels": ("Deliveries", "投递"),
    "offers": ("Offers", "优惠"),
    "terms": ("Terms", "规则"),
    "limit": ("Limit", "数量"),
    "costs_at_most": ("costs at most {amount}", "最多花费 {amount}"),
    "exclusions": ("Exclusions", "互斥"),
    "not_together": ("{first} and {second} never together", "{first} 与 {second} 不可同享"),
    "added": ("new since your last look", "自您上次查看后新增"),
    "removed": ("dropped since your last look", "自您上次查看后取消"),
    "changes": ("Changed since your last look", "自您上次查看后的变化"),
    "changes_of_offer": ("Changed in this offer since your last look", "自您上次查看后本优惠的变化"),
    "changes_elsewhere": ("Changed elsewhere in the theme", "主题其他部分的变化"),
    "first_look": ("You see it for the first time.", "您首次查看。"),
    "earlier": ("Earlier decisions", "此前的决定"),
    "earlier_line": (
        "{name}{hand} · round {round} · {level} · {decision} · {at}",
        "{name}{hand} · 第 {round} 轮 · {level} · {decision} · {at}",
    ),
    "earlier_more": ("and {count} more", "另有 {count} 条"),
    "for": (" for {name}", "（代 {name}）"),
    "override": ("override: {decision}", "越级决定：{decision}"),
    "advised": ("advised: {decision}", "建议：{decision}"),
    "void": ("void: {because}", "已作废：{because}"),
    "preview": ("Preview", "预览"),
    "preview_whom": ("As a made-up customer would get it.", "以虚构客户为例。"),
    "not_possible": ("not possible: {because}", "无法生成：{because}"),
    "none": ("none", "无"),
    "any": ("one of {count} decides", "{count} 人中任一人决定"),
    "all": ("all {count}", "全部 {count} 人"),
    "count": ("{needed} of {count}", "{count} 人中的 {needed} 人"),
    "veto": ("; a rejection by {names} ends it", "；{names} 可一票否决"),
    "signers": ("; and {names}, added", "；另加签 {names}"),
    "approve": ("approved", "同意"),
    "return to drafter": ("returned to the drafter", "退回起草人"),
    "return to previous level": ("returned to the previous level", "退回上一级"),
    "return to chosen level": ("returned to an earlier level", "退回所选级"),
    "reject": ("rejected", "拒绝"),
}

#: The fields of a theme and of its offers, as a diff names them. Names that a marketer gave are no words of ours.
FIELDS: Mapping[str, tuple[str, str]] = {
    "account": ("account", "账号"),
    "activities": ("activities", "活动"),
    "activity": ("activity", "活动"),
    "all": ("everything", "全部"),
    "amount": ("amount", "金额"),
    "app": ("app", "App"),
    "at": ("from an amount of", "满"),
    "audience": ("audience", "人群"),
    "author": ("author", "作者"),
    "body": ("body", "正文"),
    "brand": ("brand", "品牌"),
    "budget": ("budget", "预算"),
    "buy": ("buy", "购买"),
    "buy_pieces": ("buy pieces", "购买件数"),
    "cap": ("cap", "封顶"),
    "category": ("category", "类目"),
    "channels": ("channels", "渠道"),
    "claim": ("claim", "领取"),
    "claims": ("claims", "领取数"),
    "codes": ("codes", "优惠码"),
    "coupon": ("coupon", "券"),
    "coupons": ("coupons", "券"),
    "currency": ("currency", "币种"),
    "data": ("data", "数据"),
    "days": ("days", "天数"),
    "description": ("description", "说明"),
    "discount": ("discount", "优惠额"),
    "email": ("email", "邮件"),
    "every": ("every", "每满"),
    "except": ("except", "除外"),
    "excluded_from": ("not together with", "不可同享"),
    "exclude": ("exclude", "排除"),
    "exclusions": ("exclusions", "互斥"),
    "exclusive": ("exclusive", "与所有优惠互斥"),
    "extras": ("extras", "附加字段"),
    "free": ("free", "免费件数"),
    "from": ("begins", "开始"),
    "get": ("get", "换购"),
    "given_back": ("given back with a cancelled order", "取消订单后退回"),
    "get_pieces": ("get pieces", "换购件数"),
    "gmv": ("GMV", "成交额"),
    "goals": ("goals", "目标"),
    "group": ("group", "每组"),
    "html": ("HTML template", "HTML 模板"),
    "id": ("id", "编号"),
    "include": ("include", "包含"),
    "key": ("theme", "主题"),
    "kind": ("kind", "类型"),
    "line": ("line", "行"),
    "max_times": ("max times", "最多次数"),
    "mini_program": ("mini program", "小程序"),
    "name": ("name", "名称"),
    "new_customers": ("new customers", "新客"),
    "no": ("no", "否"),
    "nth": ("nth", "第几件"),
    "offer": ("offer", "优惠"),
    "only_undiscounted": ("only undiscounted", "仅限未打折商品"),
    "orders": ("orders", "订单"),
    "page": ("page", "页面"),
    "parameters": ("parameters", "规则参数"),
    "params": ("params", "参数"),
    "per": ("per", "按"),
    "per_channel": ("per channel", "每渠道"),
    "per_customer": ("per customer", "每人"),
    "per_customer_day": ("per customer and day", "每人每天"),
    "per_day": ("per day", "每天"),
    "per_person": ("per person", "每人一码"),
    "percent": ("percent", "比例"),
    "pieces": ("pieces", "件数"),
    "place": ("place", "位置"),
    "placement": ("placement", "发放位置"),
    "placements": ("placements", "发放位置"),
    "points": ("points", "积分"),
    "policy": ("policy", "审批策略"),
    "pos_after_payment": ("pos after payment", "POS 支付后"),
    "pos_before_payment": ("pos before payment", "POS 支付前"),
    "preset": ("preset", "预设规则"),
    "preset_version": ("preset version", "预设规则版本"),
    "price": ("price", "价格"),
    "priority": ("priority", "优先级"),
    "product": ("product", "商品"),
    "product_line": ("product line", "产品线"),
    "products": ("products", "商品"),
    "profit": ("profit", "利润"),
    "push": ("push", "推送"),
    "prorated": ("prorated", "按实付分摊"),
    "redeem_in": ("redeem in", "核销渠道"),
    "refund": ("refund", "退款方式"),
    "repeat": ("repeat", "可重复"),
    "repriced": ("repriced", "按剩余商品重新计价"),
    "scope": ("scope", "适用范围"),
    "shared": ("shared", "通用码"),
    "shares": ("shares", "分享"),
    "shop": ("shop", "店铺"),
    "sms": ("sms", "短信"),
    "spent": ("spent", "已消费"),
    "store": ("store", "门店"),
    "subject": ("subject", "主题行"),
    "template": ("template", "模板"),
    "templates": ("templates", "模板"),
    "text": ("text", "文本"),
    "tiers": ("tiers", "阶梯"),
    "timezone": ("timezone", "时区"),
    "title": ("title", "标题"),
    "to": ("ends", "结束"),
    "total": ("total", "总量"),
    "unit": ("unit", "件"),
    "uses": ("uses", "使用数"),
    "valid": ("valid", "有效期"),
    "web": ("web", "网页"),
    "window": ("window", "活动时间"),
    "yes": ("yes", "是"),
}


def word(key: str, locale: str, **values: object) -> str:
    """A phrase in the person's language; English where the language is not one of ours."""
    return _in(WORDS[key], locale).format(**values)


def field_word(name: str, locale: str = "en") -> str:
    """A field or a choice of a theme; what is no word of ours stays as it is."""
    return _in(FIELDS[name], locale) if name in FIELDS else name.replace("_", " ")


def both(key: str, **values: object) -> str:
    """A word or phrase for readers of either language; what is no word of ours stays as it is."""
    words = FIELDS.get(key) or WORDS.get(key)
    return key if words is None else " · ".join(dict.fromkeys(words)).format(**values)


def object_word(kind: ObjectKind, locale: str) -> str:
    return word(kind.value, locale)


def decision_word(kind: DecisionKind, locale: str, *, task_kind: TaskKind = TaskKind.DECISION) -> str:
    said = word(kind.value, locale)
    if task_kind is TaskKind.DECISION:
        return said
    return word("advised" if task_kind is TaskKind.ADVICE else "override", locale, decision=said)


def quorum_words(
    quorum: Quorum, asked: int, locale: str, veto: tuple[str, ...] = (), signers: tuple[str, ...] = ()
) -> str:
    """`2 of 3`, `all 3`, `one of 3 decides`; who may veto, and who was added and has to agree as well."""
    key = QuorumKind.COUNT.value if quorum.kind is QuorumKind.RATIO else quorum.kind.value
    words = word(key, locale, needed=quorum.needed(asked), count=asked)
    words += word("veto", locale, names=", ".join(veto)) if veto else ""
    return words + (word("signers", locale, names=", ".join(signers)) if signers else "")


def _in(words: tuple[str, str], locale: str) -> str:
    english, chinese = words
    return chinese if locale == "zh" else english
