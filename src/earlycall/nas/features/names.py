"""Names such as ``vit_small_patch16_224``: their family, size, variant and numbers."""

from __future__ import annotations

import re

from earlycall.nas.features.family import NAME, Architecture, Family

SIZES = (
    "femto", "atto", "pico", "nano", "micro", "tiny", "mini", "xxsmall", "xsmall", "small",
    "medium", "base", "large", "xlarge", "huge", "giant", "gigantic",
)  # fmt: skip
_SHORT = {
    "xxs": "xxsmall", "xs": "xsmall", "s": "small", "m": "medium", "b": "base", "l": "large",
    "xl": "xlarge", "h": "huge", "g": "giant", "t": "tiny", "n": "nano",
}  # fmt: skip
_MEANINGS = {
    "name:number": "the first number in the name that is no version, such as 50 in resnet50",
    "name:version": "the version in the name, such as 3 in mobilenetv3",
    "name:size": "the size word in the name, from femto (0) to gigantic (16)",
    "name:variant": "the letter's number in the name, such as 4 in efficientnet_b4",
    "name:patch": "the patch size in the name, such as 16 in vit_small_patch16_224",
    "name:resolution": "the resolution in the name, such as 224 in vit_small_patch16_224",
}


def _compute(architecture: Architecture) -> dict[str, float]:
    name = architecture.columns.get(NAME)
    return parsed(str(name)) if name else {}


def parsed(name: str) -> dict[str, float]:
    """The features of a name.

    Examples:
        >>> parsed("timm/vit_small_patch16_224.augreg_in21k")["name:patch"]
        16.0
        >>> sorted(parsed("mobilenetv3_large_100").items())
        [('name:family=mobilenet', 1.0), ('name:number', 100.0), ('name:size', 12.0),
         ('name:version', 3.0)]
    """
    bare = name.rpartition("/")[2].split(".")[0].lower()
    words = [word for word in re.split(r"[_\-]", bare) if word]
    if not words:
        return {}
    head = re.fullmatch(r"([a-z]+?)(?:v(\d+))?(?:(\d+)[a-z]?)?", words[0])
    letters = re.match(r"[a-z]+", words[0])  # of resnet32ts, too
    family = head[1] if head else letters[0] if letters else words[0]
    features = {f"name:family={family}": 1.0}
    if head and head[2]:
        features["name:version"] = float(head[2])
    if head and head[3]:
        features["name:number"] = float(head[3])
    for place, word in enumerate(words[1:], start=2):
        size = _SHORT.get(word, word)
        if size in SIZES:
            features["name:size"] = float(SIZES.index(size))
        elif match := re.fullmatch(r"(patch|v|[a-z])(\d+)", word):
            kind = {"patch": "patch", "v": "version"}.get(match[1], "variant")
            features[f"name:{kind}"] = float(match[2])
        elif word.isdigit() and place == len(words) and int(word) >= 112 and int(word) % 16 == 0:
            features["name:resolution"] = float(word)
        elif word.isdigit():
            features.setdefault("name:number", float(word))
    return features


def _meaning(name: str) -> str:
    if name.startswith("name:family="):
        return f"1 where the name's family is {name.removeprefix('name:family=')}"
    return _MEANINGS.get(name, name)


NAMES = Family("name", "timm's naming (Wightman 2019)", _compute, _meaning)
