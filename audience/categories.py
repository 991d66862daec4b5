"""Product categories, derived from descriptions: the first pattern that is found decides."""

import re

OTHER = "other"

#: Ordered from the narrow to the wide. Patterns are matched on the upper-case description, at the start of a word.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("tea-light-holders", r"T-?LIGHTS?(?! (?:SCENTED|CANDLE))|TEA-?LIGHTS?|TLIGHT|CANDLE ?HOLDER|CANDLESTICK|VOTIVE"),
    ("hot-water-bottles", r"HOT WATER BOTTLE|(?:\w+ )*HOTTIE"),
    ("hand-warmers", r"HAND ?WARMER"),
    ("cake-stands", r"CAKE ?-?STAND|CAKE PLATE"),
    ("lunch-bags", r"LUNCH (?:BAG|BOX)|SNACK BOX"),
    ("christmas", r"ADVENT|CHRISTMAS|XMAS|SANTA|REINDEER|RUDOLPH|NOEL|SNOWM[AE]N|BAUBLE|HOLLY|ANGELS?|TINSEL"),
    ("doormats", r"DOOR ?MAT"),
    ("clocks", r"(?:ALARM )?CLOCK"),
    ("mugs", r"MUG|TEACUP|COFFEE SET|(?<!EGG )(?<!PAPER )CUP"),
    ("candles", r"CANDLE|INCENSE|SCENTED"),
    ("lanterns-and-lights", r"LANTERN|LIGHTS?|LAMP|CHANDELIER|NIGHTLIGHT"),
    ("bags", r"(?:\w+)?BAGS?|SHOPPER|PURSE|SATCHEL|SUITCASE|CHARLOTTE"),
    (
        "wrap-and-cards",
        r"WRAP|GIFT TAPE|RIBBONS?|CARDS?|TAGS?|STICKERS?|STAMPS?|ENVELOPE|NOTEBOOK|PAPER CHAIN|TISSUES?",
    ),
    ("party", r"PARTY|BUNTING|PAPER (?:PLATE|CUP|NAPKIN)|NAPKINS?|BALLOON|GARLAND|BIRTHDAY|LOLLY"),
    ("baking", r"CAKE|BAKING|COOKIE|MUFFIN|PIE|JELLY|JAM|RECIPE|APRON|OVEN|ROLLING|MEASURING|SCALES|WHISK|PANTRY"),
    (
        "tea-and-tableware",
        r"TEA|TEAPOT|PLATES?|BOWLS?|DISH|JUG|GLASS|SPOON|CUTLERY|TRAY|COASTER|DINER|EGG|DECANTER|CRUET",
    ),
    ("sewing-and-craft", r"SEWING|FELTCRAFT|KNITTING|CRAFT|BUTTON|PATCH|PAINT|COLOURING|CROCHET|KNICK|BEADS"),
    (
        "toys-and-games",
        r"TOY|DOLL|DOLLY|GAME|PUZZLE|DOMINO|CARS?|PLAYHOUSE|SKITTLES|NESTING|JIGSAW|SOLDIER|SPACEBOY|PENCIL",
    ),
    ("jewellery", r"NECKLACE|BRACELET|EARRINGS?|RING|BROOCH|JEWELLERY|TRINKET|BANGLE|CHARM|DIAMANTE|HAIR"),
    ("storage", r"BOX(?:ES)?|TINS?|BASKET|CABINET|DRAWERS?|STORAGE|JARS?|CRATE|CHEST|RACK|HOOKS?|HANGER|BIN|HOLDER"),
    (
        "frames-and-signs",
        r"FRAMES?|SIGNS?|MIRROR|BOARD|MEMOBOARD|CHALKBOARD|BLACKBOARD|PICTURE|PLAQUE|BLOCK|LETTER|WORD",
    ),
    ("garden", r"GARDEN|PLANT|BIRD|WATERING|PARASOL|UMBRELLA|FLOWERS?|POT|SEED|ROSES?|WREATH|THERMOMETER|WINDMILL"),
    (
        "home-textiles",
        r"CUSHION|QUILT|CURTAIN|THROW|RUG|TOWEL|TEA COSY|COVER|BLANKET|FELT|SLIPPERS?|SCARF|KNITTED|WOOLLY",
    ),
    (
        "decorations",
        r"DECORATIONS?|HEARTS?|HANGING|ORNAMENT|STAR|BELL|FAIRY|FINIAL|BUTTERFLY|SCULPTURE|WOOD(?:EN)?|METAL",
    ),
)
_COMPILED = tuple((slug, re.compile(rf"\b(?:{pattern})\b|\b(?:{pattern})S\b")) for slug, pattern in _PATTERNS)

CATEGORIES = (*(slug for slug, _ in _PATTERNS), OTHER)


def category_of(description: str) -> str:
    """The slug of the category that a product of this description belongs to, `other` when none fits."""
    upper = description.upper()
    return next((slug for slug, pattern in _COMPILED if pattern.search(upper)), OTHER)
