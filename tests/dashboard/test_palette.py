"""The colours of the site, computed: contrast by WCAG 2.2, distance by CIEDE2000, also for the colour-blind.

Simulation after Machado, Oliveira and Fernandes (2009), severity 1.0.
"""

from __future__ import annotations

import re
from itertools import combinations
from math import atan2, cos, degrees, exp, hypot, radians, sin, sqrt
from pathlib import Path

import pytest

STYLE = Path(__file__).resolve().parents[2] / "src/hullmark/dashboard/assets/style.css"
SEVERITIES = ("critical", "high", "medium", "low", "unknown")
SIGHT = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
Triple = tuple[float, float, float]


def palettes() -> dict[str, dict[str, str]]:
    """The colours of each theme, as the style sheet has them."""
    found = re.findall(r"(:root[^{]*)\{([^}]*)\}", STYLE.read_text())
    themes = {"light": found[0][1], "dark": found[1][1]}
    return {name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", text)) for name, text in themes.items()}


def linear(colour: str) -> Triple:
    def part(text: str) -> float:
        value = int(text, 16) / 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    return part(colour[1:3]), part(colour[3:5]), part(colour[5:7])


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def seen(colour: str, sight: str) -> Triple:
    rgb = linear(colour)
    red, green, blue = (
        min(1.0, max(0.0, sum(factor * value for factor, value in zip(row, rgb, strict=True))))
        for row in SIGHT[sight]
    )
    return red, green, blue


def lab(rgb: Triple) -> Triple:
    red, green, blue = rgb
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883

    def bent(value: float) -> float:
        return value ** (1 / 3) if value > 216 / 24389 else (24389 / 27 * value + 16) / 116

    return 116 * bent(y) - 16, 500 * (bent(x) - bent(y)), 200 * (bent(y) - bent(z))


def distance(one: Triple, other: Triple) -> float:
    """CIEDE2000 (Sharma, Wu and Dalal, 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, other
    mean = (hypot(a1, b1) + hypot(a2, b2)) / 2
    g = 0.5 * (1 - sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = a1 * (1 + g), a2 * (1 + g)
    c1, c2 = hypot(a1, b1), hypot(a2, b2)
    h1, h2 = (degrees(atan2(b, a)) % 360 if (a or b) else 0.0 for a, b in ((a1, b1), (a2, b2)))
    turn = h2 - h1
    turn = turn - 360 if turn > 180 else turn + 360 if turn < -180 else turn
    turn = 0.0 if c1 * c2 == 0 else turn
    hue = 2 * sqrt(c1 * c2) * sin(radians(turn) / 2)
    around = h1 + h2 if c1 * c2 == 0 else (h1 + h2) / 2
    if c1 * c2 and abs(h1 - h2) > 180:
        around += 180 if h1 + h2 < 360 else -180
    chroma, light = (c1 + c2) / 2, (l1 + l2) / 2
    t = (
        1
        - 0.17 * cos(radians(around - 30))
        + 0.24 * cos(radians(2 * around))
        + 0.32 * cos(radians(3 * around + 6))
        - 0.20 * cos(radians(4 * around - 63))
    )
    sl = 1 + 0.015 * (light - 50) ** 2 / sqrt(20 + (light - 50) ** 2)
    sc, sh = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    turned = (
        -2 * sqrt(chroma**7 / (chroma**7 + 25**7)) * sin(radians(60 * exp(-(((around - 275) / 25) ** 2))))
    )
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, hue / sh
    return sqrt(dl * dl + dc * dc + dh * dh + turned * dc * dh)


def test_the_distance_is_that_of_the_published_examples() -> None:
    """Pairs 1, 7 and 17 of Sharma, Wu and Dalal."""
    assert distance((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert distance((50, 0, 0), (50, -1, 2)) == pytest.approx(2.3669, abs=1e-4)
    assert distance((50, 2.5, 0), (73, 25, -18)) == pytest.approx(27.1492, abs=1e-4)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_enough_contrast(theme: str) -> None:
    colours = palettes()[theme]
    for ground in ("page", "panel", "soft"):
        for text in ("ink", "quiet", "link"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tone in ("good", "bad", "warn"):
        assert contrast(colours[tone], colours[f"{tone}-soft"]) >= 4.5
        assert contrast(colours[tone], colours["panel"]) >= 4.5
        assert contrast(colours[tone], colours["page"]) >= 4.5
    assert contrast(colours["on-strong"], colours["strong"]) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_shapes_and_borders_of_controls_have_enough_contrast(theme: str) -> None:
    colours = palettes()[theme]
    for severity in SEVERITIES:
        assert contrast(colours[severity], colours["panel"]) >= 3, severity
    assert contrast(colours["edge"], colours["panel"]) >= 3


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_two_severities_look_alike_however_one_sees(theme: str, sight: str) -> None:
    colours = palettes()[theme]
    nearest = min(
        distance(lab(seen(colours[one], sight)), lab(seen(colours[other], sight)))
        for one, other in combinations(SEVERITIES, 2)
    )

    assert nearest >= 12


def test_both_ways_to_the_dark_theme_and_the_print_have_the_same_colours() -> None:
    blocks = re.findall(r"(:root[^{]*)\{([^}]*)\}", STYLE.read_text())
    colours = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", text)) for _, text in blocks]
    light, dark, by_system, printed = colours

    assert dark == by_system
    assert {name: printed[name] for name in SEVERITIES} == {name: light[name] for name in SEVERITIES}
